//! Shader text: the embedded files, and the one small step between a file and the WGSL a device sees.
//!
//! A shader file is WGSL plus lines that begin with `#`:
//!
//! | line | meaning |
//! |---|---|
//! | `#include "quant/QUANT.wgsl"` | that file, once per kernel; paths start at `shaders/`, and defined names in them are replaced |
//! | `#define NAME text` | `NAME` stands for `text` from here on, unless the caller or an earlier line defined it |
//! | `#if NAME`, `#if !NAME` | the lines up to `#else` or `#endif`, if `NAME` is defined and not `0`, or if not |
//! | `#if NAME == word`, `#if NAME != word` | … if its text is, or is not, `word` |
//! | `#elif …`, `#else`, `#endif` | as usual; they nest |
//! | `#enable subgroups` | `enable subgroups;` in a browser, nothing for naga, which refuses the line and needs none |
//!
//! Defined names are replaced where they stand as whole words, outside comments. Numbers that only change values, not
//! the code's shape, are WGSL `override` constants instead; with the define `UNIFORM_CONSTANTS` (the number of a
//! binding) these become fields of a uniform buffer.

use std::collections::{HashMap, HashSet};

use chord_program::ExecError;

use crate::constants::{self, Constant};

/// Every file below `shaders/`: path and text, sorted by path.
pub const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

/// The compiler that will read the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// naga, in a native build.
    Native,
    /// A browser's own compiler.
    Browser,
}

impl Dialect {
    /// That of this build.
    pub const HERE: Dialect = if cfg!(target_arch = "wasm32") { Dialect::Browser } else { Dialect::Native };
}

/// The shader files, with replacements for tests that break one on purpose.
#[derive(Clone, Debug, Default)]
pub struct ShaderSet {
    replaced: HashMap<String, String>,
}

impl ShaderSet {
    /// Replaces the text of one file.
    pub fn replace(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.replaced.insert(path.into(), text.into());
    }

    /// Text of the file at `path`.
    pub fn text(&self, path: &str) -> Option<&str> {
        if let Some(text) = self.replaced.get(path) {
            return Some(text);
        }
        let index = FILES.binary_search_by_key(&path, |(name, _)| name).ok()?;
        Some(FILES[index].1)
    }

    /// The WGSL of the file at `path` under `defines`.
    ///
    /// # Errors
    /// [`ExecError::Device`] naming file and line, for a missing file or a malformed line.
    pub fn expand(&self, path: &str, defines: &[(&str, String)], dialect: Dialect) -> Result<String, ExecError> {
        self.expand_with_constants(path, defines, dialect).map(|(text, _)| text)
    }

    /// The same, and what its uniform buffer of constants holds.
    pub(crate) fn expand_with_constants(
        &self,
        path: &str,
        defines: &[(&str, String)],
        dialect: Dialect,
    ) -> Result<(String, Vec<Constant>), ExecError> {
        let mut state = Expansion {
            set: self,
            defines: defines.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect(),
            included: HashSet::new(),
            dialect,
            enables: String::new(),
            out: String::new(),
        };
        state.file(path)?;
        let text = state.enables + &state.out;
        Ok(match defines.iter().find(|(name, _)| *name == constants::UNIFORM) {
            Some((_, binding)) => constants::make_uniform(&text, binding),
            None => (text, Vec::new()),
        })
    }

    /// True where no file has been replaced.
    pub fn is_stock(&self) -> bool {
        self.replaced.is_empty()
    }
}

struct Expansion<'a> {
    set: &'a ShaderSet,
    defines: HashMap<String, String>,
    included: HashSet<String>,
    dialect: Dialect,
    /// `enable` directives must come before everything else.
    enables: String,
    out: String,
}

/// One open `#if`.
struct Branch {
    /// The lines around it are taken.
    outer: bool,
    /// Some branch of it was taken already.
    done: bool,
    /// The current branch is taken.
    taken: bool,
}

impl Expansion<'_> {
    fn file(&mut self, path: &str) -> Result<(), ExecError> {
        if !self.included.insert(path.to_owned()) {
            return Ok(());
        }
        let set = self.set;
        let text = set.text(path).ok_or_else(|| ExecError::Device(format!("no shader file {path:?}")))?;
        let mut branches: Vec<Branch> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let taken = branches.last().is_none_or(|b| b.taken);
            let wrong = |what: &str| ExecError::Device(format!("shader {path}:{}: {what}", index + 1));
            let Some(directive) = line.trim_start().strip_prefix('#') else {
                if taken {
                    self.line(line);
                }
                continue;
            };
            let (word, rest) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
            let rest = rest.trim();
            match word {
                "if" => {
                    let holds = taken && self.condition(rest).ok_or_else(|| wrong("cannot read the condition"))?;
                    branches.push(Branch { outer: taken, done: holds, taken: holds });
                }
                "elif" => {
                    let holds = self.condition(rest).ok_or_else(|| wrong("cannot read the condition"))?;
                    let branch = branches.last_mut().ok_or_else(|| wrong("#elif without #if"))?;
                    branch.taken = branch.outer && !branch.done && holds;
                    branch.done |= branch.taken;
                }
                "else" => {
                    let branch = branches.last_mut().ok_or_else(|| wrong("#else without #if"))?;
                    branch.taken = branch.outer && !branch.done;
                    branch.done = true;
                }
                "endif" => {
                    branches.pop().ok_or_else(|| wrong("#endif without #if"))?;
                }
                _ if !taken => {}
                "include" => {
                    let name = rest.strip_prefix('"').and_then(|r| r.strip_suffix('"'));
                    let name = name.ok_or_else(|| wrong("#include needs a path in quotes"))?;
                    self.file(&self.replace(name))?;
                }
                "define" => {
                    let (name, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, "1"));
                    let text = self.replace(text.trim());
                    self.defines.entry(name.to_owned()).or_insert(text);
                }
                "enable" => {
                    if rest != "subgroups" || self.dialect == Dialect::Browser {
                        self.enables.push_str(&format!("enable {rest};\n"));
                    }
                }
                _ => return Err(wrong(&format!("unknown directive #{word}"))),
            }
        }
        match branches.is_empty() {
            true => Ok(()),
            false => Err(ExecError::Device(format!("shader {path}: #if without #endif"))),
        }
    }

    fn condition(&self, text: &str) -> Option<bool> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let value = |name: &str| self.defines.get(name).map(String::as_str);
        let on = |name: &str| value(name).is_some_and(|v| v != "0");
        match words[..] {
            [name] => Some(match name.strip_prefix('!') {
                Some(name) => !on(name),
                None => on(name),
            }),
            [name, "==", word] => Some(value(name) == Some(word)),
            [name, "!=", word] => Some(value(name) != Some(word)),
            _ => None,
        }
    }

    fn line(&mut self, line: &str) {
        let (code, comment) = match line.find("//") {
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        let code = self.replace(code);
        self.out.push_str(&code);
        self.out.push_str(comment);
        self.out.push('\n');
    }

    fn replace(&self, code: &str) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut out = String::with_capacity(code.len());
        let mut rest = code;
        while let Some(start) = rest.find(is_word) {
            let end = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |n| start + n);
            let word = &rest[start..end];
            out.push_str(&rest[..start]);
            out.push_str(self.defines.get(word).map_or(word, String::as_str));
            rest = &rest[end..];
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, defines: &[(&str, String)]) -> Result<String, ExecError> {
        let mut set = ShaderSet::default();
        set.replace("main", text);
        set.replace("part", "part N\n");
        set.replace("part_7", "seven\n");
        set.expand("main", defines, Dialect::Native)
    }

    #[test]
    fn defines_replace_whole_words_outside_comments() {
        let out = expand("a N NN N_ // N\n", &[("N", "3u".to_owned())]);
        assert_eq!(out.unwrap(), "a 3u NN N_ // N\n");
    }

    #[test]
    fn the_callers_define_wins_then_the_first_one() {
        assert_eq!(expand("#define N 1\nN\n", &[("N", "2".to_owned())]).unwrap(), "2\n");
        assert_eq!(expand("#define N 1\nN\n", &[]).unwrap(), "1\n");
        assert_eq!(expand("#define N 1\n#define N 2\nN\n", &[]).unwrap(), "1\n");
    }

    #[test]
    fn conditions_nest_and_choose_one_branch() {
        let text = "#if A\na\n#if B == x\nb\n#else\nc\n#endif\n#elif B == x\nd\n#else\ne\n#endif\n";
        let run = |defines: &[(&str, &str)]| {
            let defines: Vec<_> = defines.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
            expand(text, &defines).unwrap()
        };
        assert_eq!(run(&[("A", "1"), ("B", "x")]), "a\nb\n");
        assert_eq!(run(&[("A", "1")]), "a\nc\n");
        assert_eq!(run(&[("A", "0"), ("B", "x")]), "d\n");
        assert_eq!(run(&[]), "e\n");
    }

    #[test]
    fn files_are_included_once() {
        let out = expand("#include \"part\"\n#include \"part\"\nend\n", &[("N", "7".to_owned())]);
        assert_eq!(out.unwrap(), "part 7\nend\n");
    }

    #[test]
    fn names_in_paths_are_replaced() {
        let out = expand("#include \"N\"\n", &[("N", "part_7".to_owned())]);
        assert_eq!(out.unwrap(), "seven\n");
    }

    #[test]
    fn subgroups_are_enabled_for_browsers_only() {
        let mut set = ShaderSet::default();
        set.replace("main", "x\n#enable subgroups\n#enable f16\n");
        assert_eq!(set.expand("main", &[], Dialect::Native).unwrap(), "enable f16;\nx\n");
        assert_eq!(set.expand("main", &[], Dialect::Browser).unwrap(), "enable subgroups;\nenable f16;\nx\n");
    }

    #[test]
    fn mistakes_name_the_line() {
        for text in ["ok\n#endif\n", "ok\n#what\n", "ok\n#if A B\n#endif\n", "ok\n#include part\n"] {
            let error = expand(text, &[]).unwrap_err().to_string();
            assert!(error.contains("main:2"), "{error}");
        }
        assert!(expand("#if A\n", &[]).is_err());
        assert!(expand("#include \"none\"\n", &[]).is_err());
    }
}
