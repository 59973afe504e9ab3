//! Writes the models of `chord_testkit::recipe` to a folder: `cargo run -p chord-testkit --bin golden-recipes -- DIR`.
//!
//! `index.json` lists them: `[{ "name": NAME, "type": TYPE, "betas": [FAST, SLOW] | null, "same_as": NAME | null,
//! "trace": BOOL }, …]`.

use std::error::Error;
use std::path::PathBuf;

use chord_testkit::{architecture_recipes, recipes};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: golden-recipes DIR")?);
    std::fs::create_dir_all(&dir)?;
    let traced = architecture_recipes();
    let mut index = Vec::new();
    for recipe in recipes() {
        std::fs::write(dir.join(format!("{}.gguf", recipe.name)), recipe.bytes())?;
        index.push(json!({
            "name": recipe.name,
            "type": recipe.ty.name(),
            "betas": recipe.betas.map(|(fast, slow)| [fast, slow]),
            "same_as": recipe.same_as,
            "trace": traced.iter().any(|other| other.name == recipe.name),
        }));
    }
    std::fs::write(dir.join("index.json"), serde_json::to_string_pretty(&index)? + "\n")?;
    println!("{} models in {}", index.len(), dir.display());
    Ok(())
}
