//! The `chord` command: a thin layer over the engine, one file per subcommand.

mod args;
mod bandwidth;
mod commands;
mod conversation;
mod error;
mod file;
mod interrupt;
mod output;
mod progress;
mod shape;
mod tokens;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Run GGUF language models.
#[derive(Parser)]
#[command(name = "chord", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Inspect(commands::inspect::Args),
    Tokenize(commands::tokenize::Args),
    Render(commands::render::Args),
    Run(commands::run::Args),
    Chat(commands::chat::Args),
    Logits(commands::logits::Args),
    Trace(commands::trace::Args),
    Bench(commands::bench::Args),
}

/// Exit status of a command that failed; clap exits with 2 on wrong usage.
const FAILED: u8 = 1;
/// Exit status after Ctrl-C, by convention 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// Mesa's Vulkan layer for ordering devices asks the display which one draws. Without one libwayland complains on
/// standard error. The order does not matter here, so the layer is told to leave it, unless its own variables are in
/// use.
#[cfg(target_os = "linux")]
fn keep_away_from_the_display() {
    const LAYER_OFF: &str = "NODEVICE_SELECT";
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let has_display = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| std::path::Path::new(&dir).is_absolute());
    if !has_display && !is_set("MESA_VK_DEVICE_SELECT") && !is_set(LAYER_OFF) {
        // SAFETY: the command has no second thread yet.
        unsafe { std::env::set_var(LAYER_OFF, "1") };
    }
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    keep_away_from_the_display();
    let cli = Cli::parse();
    interrupt::listen();
    let outcome = pollster::block_on(async {
        match cli.command {
            Command::Inspect(args) => commands::inspect::run(args).await,
            Command::Tokenize(args) => commands::tokenize::run(args).await,
            Command::Render(args) => commands::render::run(args).await,
            Command::Run(args) => commands::run::run(args).await,
            Command::Chat(args) => commands::chat::run(args).await,
            Command::Logits(args) => commands::logits::run(args).await,
            Command::Trace(args) => commands::trace::run(args).await,
            Command::Bench(args) => commands::bench::run(args).await,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has closed it, as `| head` does: not an error.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) if error.code() == "cancelled" => ExitCode::from(INTERRUPTED),
        Err(error) => {
            eprintln!("error[{}]: {error}", error.code());
            ExitCode::from(FAILED)
        }
    }
}
