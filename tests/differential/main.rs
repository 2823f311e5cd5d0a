//! Random programs, on the system's libaio and on ours: results, events, eventfds, files, descriptors,
//! signals and errno have to be the same. `--help` tells the options.
//!
//! A program is a list of calls of the functions in `runtime/`, in C. `runtime/worker.c` runs them, in a
//! process for each program; a program that fails is made smaller and printed as C, which calls the same
//! functions.
//!
//! *Rules.* Where the kernel leaves something open, or the README's table says that it differs, it is
//! made comparable by these rules and no others. `liar.c` shows that each of them still lets a
//! difference through to be seen.
//! 1. `order`: events of requests that end by themselves (direct I/O, syncs, polls) are sorted; the
//!    kernel promises no order. (`runtime/calls.h`, `collect_from`)
//! 2. `mask`: of a poll's result the bits that were asked for count, and POLLERR and POLLHUP: a wake-up
//!    may tell more. (`runtime/track.h`, `comparable`)
//! 3. `once`: a signal in a call counts once: the kernel delivers it when the call ends.
//!    (`runtime/base.h`, `handler`)
//! 4. `apart`: what overlaps direct I/O in flight is not submitted, nor what depends on it otherwise
//!    (RWF_NOWAIT, eventfds that it signals): the kernel does not order it. (`runtime/calls.h`,
//!    `submit_here`)
//! 5. `seen`: before the data of a polled file is taken away, events are asked for; ours looks at
//!    readiness then. (`runtime/actions.h`, `see_polls`)
//! 6. `done`: io_cancel of a read, write or sync comes after its event: ours may cancel it.
//!    (`runtime/calls.h`, `cancel_here`)
//! 7. `raw`: a dead context is passed to the system call: the system's wrapper reads the ring.
//!    (`runtime/calls.h`, `safe_via`)

#![allow(clippy::unwrap_used, reason = "a poisoned lock is the end of the test")]

#[path = "../support/mod.rs"]
mod support;

mod compare;
mod generate;
mod options;
mod program;
mod publish;
mod runner;
mod selftest;
mod shrink;
mod worker;

use std::process::ExitCode;

use options::Options;
use support::Stop;

fn main() -> ExitCode {
    let outcome = match Options::parse() {
        Ok(Some(options)) => runner::run(&options),
        Ok(None) => Ok(true),
        Err(stop) => Err(stop),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Stop::Skip(reason)) if std::env::var_os("UAIO_REQUIRE_ALL").is_none() => {
            println!("differential: skipped: {reason}");
            ExitCode::SUCCESS
        }
        Err(Stop::Skip(reason) | Stop::Fail(reason)) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
