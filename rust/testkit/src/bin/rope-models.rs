//! Writes the models of `chord_testkit::rope_models` to a folder:
//! `cargo run -p chord-testkit --bin rope-models -- DIR`.
//!
//! `index.json` lists them: `[{ "name": NAME, "betas": [FAST, SLOW] | null, "same_as": NAME | null }, …]`.

use std::error::Error;
use std::path::PathBuf;

use chord_testkit::rope_models;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: rope-models DIR")?);
    std::fs::create_dir_all(&dir)?;
    let mut index = Vec::new();
    for model in rope_models() {
        std::fs::write(dir.join(format!("{}.gguf", model.name)), model.bytes())?;
        index.push(json!({
            "name": model.name,
            "betas": model.betas.map(|(fast, slow)| [fast, slow]),
            "same_as": model.same_as,
        }));
    }
    std::fs::write(dir.join("index.json"), serde_json::to_string_pretty(&index)? + "\n")?;
    println!("{} models in {}", index.len(), dir.display());
    Ok(())
}
