//! `chord chat`

use std::io::{BufRead, IsTerminal, Write};

use chord_engine::{FinishReason, Prompt};
use chord_text::Message;

use crate::args::{ModelArgs, SamplingArgs, TimeArgs};
use crate::commands::run::{stream, summary};
use crate::error::CliError;
use crate::output;

/// Chat with a model line by line. Ctrl-C stops a reply; /new starts over; /exit or the end of the input quits.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// A system message.
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    time: TimeArgs,
}

pub(crate) async fn run(args: Args) -> Result<(), CliError> {
    let mut engine = args.model.load(&args.model.device.options()).await?;
    for reason in engine.info().why {
        eprintln!("{reason}");
    }
    let opening: Vec<Message> = args.system.iter().map(|text| Message::new("system", text.clone())).collect();
    let mut messages = opening.clone();
    let is_terminal = std::io::stdin().is_terminal();
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if is_terminal {
            eprint!("> ");
            std::io::stderr().flush()?;
        }
        let Some(line) = lines.next().transpose()? else { return Ok(()) };
        match line.trim() {
            "" => continue,
            "/exit" => return Ok(()),
            "/new" => {
                messages = opening.clone();
                continue;
            }
            text => messages.push(Message::new("user", text)),
        }
        let prompt = Prompt::Messages(messages.clone());
        let request = args.sampling.request(prompt, args.time.local_seconds())?;
        match stream(&mut engine, &request, true).await {
            Ok((reply, result)) => {
                output::line("")?;
                eprintln!("{}", summary(&engine, &result));
                // A reply that was stopped before its first word is removed together with its question.
                if reply.is_empty() && result.finish_reason == FinishReason::Cancelled {
                    messages.pop();
                } else {
                    messages.push(Message::new("assistant", reply));
                }
            }
            Err(error) if error.code() == "prompt-too-long" => {
                eprintln!("error[{}]: {error}; /new starts over", error.code());
                messages.pop();
            }
            Err(error) => return Err(error),
        }
    }
}
