//! Writes the files that must be refused to a folder: `cargo run -p chord-testkit --bin hostile-files -- DIR`.
//!
//! `index.json` lists them: `[{ "file": NAME, "code": CODE, "offset": BYTE, "message": [PART, …] }, …]`, where every
//! part must be found in the error's message. `odd.json` lists tiny models that are odd but may well be accepted:
//! `[{ "file": NAME, "verdict": "fits" or CODE }, …]`.

use std::error::Error;
use std::path::PathBuf;

use chord_testkit::hostile::rejects;
use chord_testkit::odd_models;
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: hostile-files DIR")?);
    std::fs::create_dir_all(&dir)?;
    let mut index = Vec::new();
    for reject in rejects() {
        let file = format!("{}.gguf", reject.name);
        std::fs::write(dir.join(&file), &reject.bytes)?;
        index.push(json!({
            "file": file,
            "code": reject.code,
            "offset": reject.offset,
            "message": reject.message,
        }));
    }
    std::fs::write(dir.join("index.json"), serde_json::to_string_pretty(&index)? + "\n")?;
    let mut odd = Vec::new();
    for model in odd_models() {
        let file = format!("odd-{}.gguf", model.name);
        std::fs::write(dir.join(&file), model.model.file())?;
        odd.push(json!({ "file": file, "verdict": model.verdict }));
    }
    std::fs::write(dir.join("odd.json"), serde_json::to_string_pretty(&odd)? + "\n")?;
    println!("{} files in {}", index.len(), dir.display());
    Ok(())
}
