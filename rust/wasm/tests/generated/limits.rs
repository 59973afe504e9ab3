//! Ranges, defaults and documentation of the numbers of a request, and other constants of the engine.

use std::fmt::Write;

use chord_engine::pool::MOST_THREADS;
use chord_engine::{COMPLETION_MAX_TOKENS, MAX_STOP_STRINGS, MAX_TOKENS, NumberField, ROOM_OF_32_BITS, SEED, Sampling};
use chord_gguf::limits::DEFAULT_ALIGNMENT;

use crate::layout::{WIDTH, comment};

/// The lines of the README between which its table is.
const TABLE: (&str, &str) = ("<!-- generated: numbers of a request -->\n\n", "\n<!-- /generated -->\n");

fn fields() -> Vec<NumberField> {
    Sampling::FIELDS.into_list().into_iter().chain([MAX_TOKENS, SEED]).collect()
}

/// `web/src/engine-limits.ts`, in prettier's format.
pub(super) fn typescript() -> String {
    let mut text = String::from(
        "// Generated from rust/engine by `npm run generate`: what the engine and the SDK must agree on.\n\n\
         /** Numbers of a request. Left out or null, each has its default. */\n\
         export interface NumberFields {\n",
    );
    for field in fields() {
        text += &comment(&described(&field), "  ");
        writeln!(text, "  {}?: number | null;", field.name).unwrap();
        if let Some(alias) = field.alias {
            writeln!(text, "  /** Another name for `{}`. */\n  {alias}?: number | null;", field.name).unwrap();
        }
    }
    text += "}\n\n/** The range of a number. Both bounds belong to it. */\n\
             export interface NumberRange {\n  name: keyof NumberFields;\n  /** Another name for it. */\n  \
             alias?: keyof NumberFields;\n  whole: boolean;\n  least: number;\n  most: number;\n}\n\n\
             /** Numbers that say how tokens are chosen. */\nexport const SAMPLING_RANGES = [\n";
    for field in Sampling::FIELDS.into_list() {
        writeln!(text, "  {},", range(&field)).unwrap();
    }
    text += "] as const satisfies readonly NumberRange[];\n";
    for (name, field) in [("MAX_TOKENS", MAX_TOKENS), ("SEED", SEED)] {
        let start = format!("export const {name}_RANGE: NumberRange = ");
        let range = range(&field);
        let fits = start.len() + range.len() < WIDTH;
        let range =
            if fits { range } else { range.replace("{ ", "{\n  ").replace(", ", ",\n  ").replace(" }", ",\n}") };
        writeln!(text, "\n{start}{range};").unwrap();
    }
    for (name, doc, value) in [
        ("MAX_STOP_STRINGS", "Most strings that can end an answer.", MAX_STOP_STRINGS),
        ("COMPLETION_MAX_TOKENS", "Tokens of a completion that asks for no number.", COMPLETION_MAX_TOKENS as usize),
        ("MOST_THREADS", "Most threads of the CPU.", MOST_THREADS),
        (
            "ROOM_OF_32_BITS",
            "Bytes that a model can have on the CPU with addresses of 32 bits.",
            ROOM_OF_32_BITS as usize,
        ),
        (
            "DEFAULT_ALIGNMENT",
            "What the data of a GGUF file is aligned to that says nothing.",
            DEFAULT_ALIGNMENT as usize,
        ),
    ] {
        write!(text, "\n/** {doc} */\nexport const {name} = {value};\n").unwrap();
    }
    text
}

/// The README, with its table as it should be.
pub(super) fn in_readme(readme: &str) -> String {
    let parts = readme.split_once(TABLE.0).and_then(|(head, rest)| Some((head, rest.split_once(TABLE.1)?.1)));
    let (head, tail) = parts.expect("web/README.md has the marks of the table");
    format!("{head}{}{}{}{tail}", TABLE.0, table(), TABLE.1)
}

/// A table as prettier writes it: as wide as its widest cells.
fn table() -> String {
    let mut rows = vec![["Field", "Range", "Default", ""].map(str::to_owned)];
    for field in fields() {
        let names = [Some(field.name), field.alias].into_iter().flatten().map(|name| format!("`{name}`"));
        let default = field.default.map_or_else(String::new, |number| number.to_string());
        let range = format!("{} to {}", field.least, field.most);
        rows.push([names.collect::<Vec<_>>().join(", "), range, default, field.doc.to_owned()]);
    }
    let widths: Vec<usize> = (0..4).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0).max(3)).collect();
    rows.insert(1, [0, 1, 2, 3].map(|at| "-".repeat(widths[at])));
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("| {cell:width$} "));
        cells.collect::<String>() + "|\n"
    };
    rows.iter().map(line).collect()
}

fn described(field: &NumberField) -> String {
    let default = field.default.map(|number| format!("; {number} if left out")).unwrap_or_default();
    format!("{} From {} to {}{default}.", field.doc, field.least, field.most)
}

fn range(field: &NumberField) -> String {
    let NumberField { name, alias, whole, least, most, .. } = field;
    let alias = alias.map(|alias| format!("alias: \"{alias}\", ")).unwrap_or_default();
    format!("{{ name: \"{name}\", {alias}whole: {whole}, least: {least}, most: {most} }}")
}
