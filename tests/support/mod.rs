//! What the test harnesses share: skips that carry a reason, the library under test, C programs
//! compiled on the spot, commands with a time limit, scratch directories.
//!
//! Every harness with tests that may be skipped is a libtest-mimic one, so that a skip is reported
//! with its reason and counted. `UAIO_REQUIRE_ALL=1` turns each skip into a failure.

#![allow(dead_code, reason = "each harness uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod c;
pub mod calls;
pub mod command;
pub mod elf;
pub mod library;
pub mod scratch;
pub mod setting;
pub mod witness;

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use libtest_mimic::{Completion, Failed, Trial};

/// Why a test ended early. Any error that can be printed turns into a failure by `?`.
#[derive(Debug, Clone)]
pub enum Stop {
    /// The machine lacks what the test needs.
    Skip(String),
    /// What is wrong.
    Fail(String),
}

/// What a test's body returns.
pub type Outcome<T = ()> = Result<T, Stop>;

impl<E: Display> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Fail(error.to_string())
    }
}

/// Ends the test as skipped.
pub fn skip<T>(reason: impl Display) -> Outcome<T> {
    Err(Stop::Skip(reason.to_string()))
}

/// Ends the test as failed.
pub fn fail<T>(reason: impl Display) -> Outcome<T> {
    Err(Stop::Fail(reason.to_string()))
}

/// One test of a libtest-mimic harness. A body that panics has failed as well.
pub fn trial(name: impl Into<String>, body: impl FnOnce() -> Outcome + Send + 'static) -> Trial {
    Trial::ignorable_test(name, || completion(body()))
}

fn completion(outcome: Outcome) -> Result<Completion, Failed> {
    match outcome {
        Ok(()) => Ok(Completion::Completed),
        Err(Stop::Fail(what)) => Err(what.into()),
        Err(Stop::Skip(reason)) if all_required() => {
            Err(format!("skipped, but UAIO_REQUIRE_ALL is set: {reason}").into())
        }
        Err(Stop::Skip(reason)) => Ok(Completion::ignored_with(reason)),
    }
}

fn all_required() -> bool {
    env::var_os("UAIO_REQUIRE_ALL").is_some_and(|value| value == "1")
}

/// Where an installed program is, or the reason to skip.
pub fn installed(program: &str) -> Outcome<PathBuf> {
    match find_in_path(program) {
        Some(path) => Ok(path),
        None => skip(format!("{program} is not installed")),
    }
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// A file of this repository.
pub fn repository(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A path or argument for a message.
pub fn shown(text: impl AsRef<OsStr>) -> String {
    text.as_ref().to_string_lossy().into_owned()
}
