//! What the SDK has of the engine is written by this: `npm run generate` writes it anew, and here it is checked to be
//! current.

#[path = "generated/layout.rs"]
mod layout;
#[path = "generated/limits.rs"]
mod limits;
#[path = "generated/types.rs"]
mod types;

use std::fs;

use chord_testkit::repo_dir;

/// Compares a file of the repository with what it should be, or writes it where `CHORD_WRITE` is set.
fn check(path: &str, expected: &str) {
    let file = repo_dir().join(path);
    if std::env::var_os("CHORD_WRITE").is_some() {
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found != expected {
        let differs = found.lines().zip(expected.lines()).position(|(a, b)| a != b);
        let line = differs.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1;
        panic!("{path} is not current, from line {line} on: run `npm run generate`");
    }
}

#[test]
fn the_types_are_current() {
    check("web/src/engine-types.ts", &types::typescript());
}

#[test]
fn the_limits_are_current() {
    check("web/src/engine-limits.ts", &limits::typescript());
}

#[test]
fn the_readme_lists_the_numbers_of_a_request() {
    let readme = fs::read_to_string(repo_dir().join("web/README.md")).unwrap();
    check("web/README.md", &limits::in_readme(&readme));
}
