//! `studyhall`: the one executable, and the one place where the crates are put together.

mod account;
mod arguments;
#[cfg(test)]
mod codes;
mod migrate;
mod parked;
mod parts;
mod reports;
mod seed;
mod serve;
mod status;
mod verify;

use std::process::ExitCode;

use anyhow::Error;
use clap::Parser as _;
use platform::ConfigError;

use arguments::{Arguments, Command, ParkedCommand};

/// Ended well, and had something bad to say.
const BAD_NEWS: u8 = 1;
/// Cannot start with these settings; the same as for wrong arguments.
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    platform::failpoint::init();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(run(arguments.command));
    // Everything that matters was waited for. The rest ends with the process: taking the runtime
    // apart under drivers that still tidy up makes them panic.
    std::mem::forget(runtime);
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BAD_NEWS),
        Err(error) => failed(&error),
    }
}

/// Runs one command. `false`: it did its work, and the news is bad.
async fn run(command: Command) -> Result<bool, Error> {
    match command {
        Command::Serve { roles } => serve::serve(&roles).await,
        Command::Migrate => migrate::migrate().await,
        Command::Status { json } => status::status(json).await,
        Command::Seed => seed::seed().await,
        Command::Role { email, role } => account::role(&email, role).await,
        Command::Account { action, email } => account::change(&email, action).await,
        Command::Verify => verify::verify().await,
        Command::Reports { limit } => reports::list(limit).await,
        Command::Parked { command: ParkedCommand::List } => parked::list().await,
        Command::Parked { command: ParkedCommand::Retry { projector, key } } => {
            parked::retry(&projector, &key).await
        }
    }
}

/// One line on standard error, causes included.
fn failed(error: &Error) -> ExitCode {
    let line = format!("{error:#}").replace('\n', " ");
    eprintln!("studyhall: {line}");
    ExitCode::from(if error.is::<ConfigError>() { WRONG_SETTINGS } else { BAD_NEWS })
}
