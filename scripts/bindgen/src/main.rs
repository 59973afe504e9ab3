//! `chord-bindgen MODULE.wasm FOLDER`: writes the JavaScript bindings and the processed module into a folder.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        eprintln!("usage: chord-bindgen MODULE.wasm FOLDER");
        return ExitCode::from(2);
    };
    match generate(module, folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {module}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn generate(module: &str, folder: &str) -> Result<(), String> {
    Bindgen::new()
        .input_path(module)
        .web(true)
        .and_then(|bindgen| bindgen.typescript(true).generate(folder))
        .map_err(|error| format!("{error:#}"))
}
