//! `docs/errors.md` lists every code that the sources give.

use chord_testkit::repo_dir;

#[test]
fn every_code_is_documented() {
    let read = |path: &str| std::fs::read_to_string(repo_dir().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let documented = read("docs/errors.md");
    let mut codes = Vec::new();
    for path in [
        "rust/gguf/src/error.rs",
        "rust/gguf/src/metadata.rs",
        "rust/text/src/error.rs",
        "rust/model/src/error.rs",
        "rust/engine/src/error.rs",
        "rust/cli/src/error.rs",
    ] {
        let source = read(path);
        let before = codes.len();
        // Arms of the `code` functions: `… => "kebab-case",`.
        codes.extend(source.split("=> \"").skip(1).filter_map(|rest| Some(rest.split_once("\",")?.0.to_owned())));
        assert!(codes.len() > before, "no codes found in {path}");
    }
    for code in codes {
        let is_code =
            !code.is_empty() && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(is_code, "{code:?} is not kebab-case");
        assert!(documented.contains(&format!("`{code}`")), "docs/errors.md does not list `{code}`");
    }
}
