//! The `chord` command.
fn main() {}
