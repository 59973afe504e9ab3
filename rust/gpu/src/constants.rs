//! `override` constants as fields of a uniform buffer: kernels that differ only in numbers are then one pipeline.
//!
//! On software adapters, where compiling takes longer than running, this is worth a load for each use. On hardware they
//! stay `override` constants.

use chord_program::ExecError;

use crate::KernelSource;

/// The define that requests this; its text is the number of the binding.
pub(crate) const UNIFORM: &str = "UNIFORM_CONSTANTS";

/// One former `override` declaration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Constant {
    name: String,
    is_float: bool,
    default: Option<f64>,
}

/// Turns the `override` declarations of `text` into a uniform struct at `binding`.
pub(crate) fn make_uniform(text: &str, binding: &str) -> (String, Vec<Constant>) {
    let constants: Vec<Constant> = text.lines().filter_map(declaration).collect();
    if constants.is_empty() {
        return (text.to_owned(), constants);
    }
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines().filter(|line| declaration(line).is_none()) {
        let (code, comment) = line.find("//").map_or((line, ""), |at| line.split_at(at));
        replace_words(code, &constants, &mut out);
        out.push_str(comment);
        out.push('\n');
    }
    out.push_str("\nstruct Constants {\n");
    for Constant { name, is_float, .. } in &constants {
        out.push_str(&format!("    {name}: {},\n", if *is_float { "f32" } else { "u32" }));
    }
    out.push_str(&format!("}}\n\n@group(0) @binding({binding}) var<uniform> constants: Constants;\n"));
    (out, constants)
}

/// `override NAME: TYPE;` or `override NAME: TYPE = VALUE;`
fn declaration(line: &str) -> Option<Constant> {
    let code = line.split("//").next()?.trim().strip_prefix("override ")?.strip_suffix(';')?;
    let (name, rest) = code.split_once(':')?;
    let (ty, default) = rest.split_once('=').map_or((rest, None), |(ty, value)| (ty, Some(value)));
    let default = default.and_then(|value| value.trim().trim_end_matches(['u', 'f']).parse().ok());
    Some(Constant { name: name.trim().to_owned(), is_float: ty.trim() == "f32", default })
}

fn replace_words(code: &str, constants: &[Constant], out: &mut String) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = code;
    while let Some(start) = rest.find(is_word) {
        let end = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |n| start + n);
        let word = &rest[start..end];
        out.push_str(&rest[..start]);
        if constants.iter().any(|constant| constant.name == word) {
            out.push_str("constants.");
        }
        out.push_str(word);
        rest = &rest[end..];
    }
    out.push_str(rest);
}

/// The words of the uniform buffer, padded to a multiple of 16 bytes.
///
/// # Errors
/// [`ExecError::Device`] for a constant without a value: a bug in the kernel's Rust side.
pub(crate) fn pack(source: &KernelSource, constants: &[Constant]) -> Result<Vec<u32>, ExecError> {
    let mut words = Vec::with_capacity(constants.len().next_multiple_of(4));
    for Constant { name, is_float, default } in constants {
        let given = source.constants.iter().find(|(given, _)| given == name).map(|(_, value)| *value);
        let value = given
            .or(*default)
            .ok_or_else(|| ExecError::Device(format!("kernel {}: {name} has no value", source.file)))?;
        words.push(if *is_float { (value as f32).to_bits() } else { value as u32 });
    }
    words.resize(words.len().next_multiple_of(4), 0);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "override K: u32;\noverride EPS: f32 = 0.5;  // K stays\nlet x = K + MAKE + a.k; // K\nlet y = EPS;\n";

    #[test]
    fn declarations_become_fields_and_uses_follow() {
        let (text, constants) = make_uniform(TEXT, "7");
        assert!(text.starts_with("let x = constants.K + MAKE + a.k; // K\nlet y = constants.EPS;\n"), "{text}");
        assert!(text.contains("struct Constants {\n    K: u32,\n    EPS: f32,\n}"), "{text}");
        assert!(text.contains("@binding(7) var<uniform> constants: Constants;"), "{text}");
        assert_eq!(constants.len(), 2);
    }

    #[test]
    fn values_are_packed_in_their_order_with_defaults() {
        let (_, constants) = make_uniform(TEXT, "0");
        let source = KernelSource::new("x").constant("K", 9u32);
        assert_eq!(pack(&source, &constants).unwrap(), [9, 0.5f32.to_bits(), 0, 0]);
        assert!(pack(&KernelSource::new("x"), &constants).is_err());
    }

    #[test]
    fn a_text_without_constants_stays_as_it_is() {
        assert_eq!(make_uniform("let x = 1;\n", "0"), ("let x = 1;\n".to_owned(), Vec::new()));
    }
}
