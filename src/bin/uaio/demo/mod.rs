//! `uaio run` without a program: an ordinary libaio program, copy.c, runs on the library.
//!
//! It is compiled here and now with the library's own header, so that what is shown is what a user
//! gets. What it says about itself is checked from outside where that is possible: its kernel AIO
//! calls are counted, the checksum of the copy is compared with that of the bytes that were
//! written, and the library that answered with the one that was preloaded.

mod aio_calls;
mod child;
mod engine;
mod facts;
mod passing;
mod progress;
mod report;
mod workspace;

use std::path::Path;
use std::process::Command;

use crate::failure::Failure;
use crate::library::{self, Library};
use crate::signals::Signals;
use crate::{environment, output, preload};
use engine::Engine;
use facts::Facts;
use progress::Progress;
use report::Job;
use workspace::Workspace;

const SOURCE: &str = include_str!("copy.c");
const HEADER: &str = include_str!("../../../../include/libaio.h");
const SIZE: u64 = 64 << 20;
/// The file, its copy, the program and what the compiler needs.
const SPACE: u64 = 2 * SIZE + (8 << 20);

/// Runs the demonstration.
pub fn run(chosen: Option<&Path>) -> Result<(), Failure> {
    let library = library::find(chosen)?;
    environment::warn();
    let job = perform(&library)?;
    let report = job.report(&library, SIZE)?;
    output::say(&report)
}

fn perform(library: &Library) -> Result<Job, Failure> {
    let signals = Signals::hold()?;
    let workspace = Workspace::create(SPACE)?;
    let mut progress = Progress::new(SIZE);
    progress.phase("compiling copy.c, a C program for libaio");
    compile(&workspace, library, &signals)?;
    progress.phase(&format!("copying {} MiB in {}", SIZE >> 20, workspace.path().display()));
    let written = workspace.write_random("source", SIZE, &signals)?;

    let mut command = Command::new("./copy");
    command.args(["source", "copied"]).current_dir(workspace.path());
    // The link is there for paths that LD_PRELOAD cannot hold.
    let entry = preload::entry(&library.path).unwrap_or("./libaio.so".as_ref());
    command.env("LD_PRELOAD", entry);
    let pending = aio_calls::watch(&mut command)
        .map_err(|error| Failure::io("cannot watch system calls", &error))?;
    let (mut facts, mut engine) = (Facts::default(), Engine::default());
    let outcome = child::run(&mut command, &signals, Some(pending), |pid, line| {
        facts.add(line);
        engine.observe(pid);
        if let Ok(copied) = facts.number("copied") {
            progress.update(copied);
        }
    });
    progress.finish();
    let outcome = outcome?;
    outcome.check("copy.c")?;
    let answered = facts.text("library").ok().and_then(|path| workspace.resolve(path));
    let is_without_kernel =
        std::env::var_os("UAIO_ENGINE").is_some_and(|engine| engine == "uring" || engine == "pool");
    Ok(Job { written, answered, watch: outcome.watch, is_without_kernel, facts, engine })
}

/// Compiles copy.c against our header, and links it with the library under its linker name.
fn compile(workspace: &Workspace, library: &Library, signals: &Signals) -> Result<(), Failure> {
    workspace.write("copy.c", SOURCE)?;
    workspace.write("libaio.h", HEADER)?;
    workspace.link("libaio.so", &library.path)?;
    let mut command = Command::new("cc");
    // Position-independent: otherwise the address of io_submit would be one in the program.
    command.args(
        "-std=gnu11 -O2 -Wall -Wextra -fPIE -pie -I. -o copy copy.c -L. -laio -ldl".split(' '),
    );
    // The compiler's own temporary files then go when ours go.
    command.current_dir(workspace.path()).env("TMPDIR", workspace.path());
    child::run(&mut command, signals, None, |_, _| {})?.check("the C compiler")
}
