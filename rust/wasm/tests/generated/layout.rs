//! Lines and comments of generated TypeScript.

/// Columns of a line.
pub(super) const WIDTH: usize = 120;

/// A comment in front of a declaration, in lines that are not too long. Links to Rust items become their names.
pub(super) fn comment(text: &str, indent: &str) -> String {
    let text = without_links(text);
    let line = format!("{indent}/** {text} */\n");
    if line.len() <= WIDTH {
        return line;
    }
    let mut lines = vec![format!("{indent} *")];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is a line");
        if last.len() + 1 + word.len() <= WIDTH {
            *last += &format!(" {word}");
        } else {
            lines.push(format!("{indent} * {word}"));
        }
    }
    format!("{indent}/**\n{}\n{indent} */\n", lines.join("\n"))
}

/// `[text](crate::item)` and `[text]` as their texts.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let Some((name, after)) = after.split_once(']') else { break };
        plain += before;
        plain += name;
        let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    plain + rest
}

/// `export type NAME = OPEN DEFINITION CLOSE;` of a definition of ts-rs's: alternatives, which may be objects.
pub(super) fn declaration(name: &str, open: &str, definition: &str, close: &str) -> String {
    let start = format!("export type {name} = {open}");
    let alternatives = alternatives(definition);
    if let [only] = &alternatives[..] {
        return format!("{start}{}{close};\n", only.text(0));
    }
    let one_line = alternatives.iter().map(|one| one.in_one_line()).collect::<Option<Vec<_>>>();
    match one_line.map(|all| all.join(" | ") + close) {
        Some(line) if start.len() + line.len() < WIDTH => format!("{start}{line};\n"),
        Some(line) if line.len() + 2 < WIDTH => format!("{}\n  {line};\n", start.trim_end()),
        _ => {
            let lines: Vec<_> = alternatives.iter().map(|one| format!("\n  | {}", one.text_or_line(4))).collect();
            format!("{}{}{close};\n", start.trim_end(), lines.concat())
        }
    }
}

/// A type of a union.
enum Alternative<'a> {
    Name(&'a str),
    /// Comments and `key: type` of each member.
    Object(Vec<(String, String)>),
}

impl Alternative<'_> {
    /// With a line for each member of an object.
    fn text(&self, indent: usize) -> String {
        let members = match self {
            Alternative::Name(name) => return (*name).to_owned(),
            Alternative::Object(members) => members,
        };
        let inner = " ".repeat(indent + 2);
        let members = members.iter().map(|(docs, member)| {
            let docs = if docs.is_empty() { String::new() } else { comment(docs, &inner) };
            format!("{docs}{inner}{member};\n")
        });
        format!("{{\n{}{}}}", members.collect::<String>(), " ".repeat(indent))
    }

    fn text_or_line(&self, indent: usize) -> String {
        self.in_one_line().unwrap_or_else(|| self.text(indent))
    }

    /// In one line, unless there are comments.
    fn in_one_line(&self) -> Option<String> {
        match self {
            Alternative::Name(name) => Some((*name).to_owned()),
            Alternative::Object(members) if members.iter().all(|(docs, _)| docs.is_empty()) => {
                let members: Vec<_> = members.iter().map(|(_, member)| member.as_str()).collect();
                Some(format!("{{ {} }}", members.join("; ")))
            }
            Alternative::Object(_) => None,
        }
    }
}

/// Splits at each `|` that is not within braces, brackets or comments.
fn alternatives(definition: &str) -> Vec<Alternative<'_>> {
    split(definition, '|').into_iter().map(alternative).collect()
}

fn alternative(text: &str) -> Alternative<'_> {
    let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
        return Alternative::Name(text);
    };
    let members = split(inner, ',').into_iter().filter(|member| !member.is_empty()).map(|member| {
        let (docs, member) = match member.rsplit_once("*/") {
            Some((docs, member)) => (docs, member.trim()),
            None => ("", member),
        };
        let docs: Vec<_> = docs.lines().map(|line| line.trim().trim_start_matches(['/', '*']).trim()).collect();
        let (key, ty) = member.split_once(": ").expect("a member has a key and a type");
        (docs.join(" ").trim().to_owned(), format!("{}: {ty}", key.trim_matches('"')))
    });
    Alternative::Object(members.collect())
}

/// The parts between separators that are not within braces, brackets or comments.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut in_comment) = (Vec::new(), 0, 0, false);
    for (at, c) in text.char_indices() {
        if text[at..].starts_with("/**") {
            in_comment = true;
        } else if text[..at].ends_with("*/") {
            in_comment = false;
        }
        match c {
            _ if in_comment => {}
            '{' | '[' | '<' => depth += 1,
            '}' | ']' | '>' => depth -= 1,
            _ if c == separator && depth == 0 => {
                parts.push(text[from..at].trim());
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text[from..].trim());
    parts
}
