//! Writing to standard output: failures are errors, so that a pipe that its reader has closed ends the command quietly.

use std::io::{self, Write};

use serde::Serialize;

use crate::error::CliError;

/// One line.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), CliError> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// A piece of streamed text, shown at once.
pub(crate) fn piece(text: &str) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A warning, on standard error.
pub(crate) fn warning(text: impl std::fmt::Display) {
    eprintln!("warning: {text}");
}

/// One JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CliError::Input(error.to_string()))?;
    line(text)
}

/// Bytes in units that people read.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{value:.1} {}", UNITS[unit])
}
