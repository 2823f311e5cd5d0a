//! `uaio`: runs programs on this libaio, measures it, and installs it.
//!
//! What the user asked for is decided in `cli`; `run`, `demo`, `bench` and `install` do it. Errors
//! end here: one message on standard error, and exit status 2 for bad input, 1 for a job that
//! failed.

mod bench;
mod cli;
mod demo;
mod elf;
mod environment;
mod failure;
mod help;
mod install;
mod library;
mod output;
mod preload;
mod program;
mod run;
mod signals;
mod temporary;

use std::process::ExitCode;

use cli::Command;
use failure::Failure;

fn main() -> ExitCode {
    let result = cli::parse(std::env::args_os()).and_then(|command| match command {
        Command::Print(text) => output::say(&text),
        Command::Demo { library } => demo::run(library.as_deref()),
        Command::Run { library, program, args } => run::exec(library.as_deref(), &program, &args),
        Command::Bench(options) => bench::run(&options),
        Command::BenchWorker { job } => bench::run_worker(&job),
        Command::Install(options) => install::run(&options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Signal(signal)) => signals::die_of(signal),
        Err(Failure::Usage(message)) => {
            output::complain(&message);
            ExitCode::from(2)
        }
        Err(Failure::Job(message)) => {
            output::complain(&message);
            ExitCode::FAILURE
        }
    }
}
