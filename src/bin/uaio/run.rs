//! `uaio run PROGRAM`: the program takes the place of this process, with the library preloaded.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::failure::{Failure, reason};
use crate::{environment, library, preload, program, signals};

/// Returns only when the program cannot be run.
pub fn exec(chosen: Option<&Path>, name: &OsStr, args: &[OsString]) -> Result<(), Failure> {
    let library = library::find(chosen)?;
    let path = program::find(name)?;
    let entry = preload::entry_or_link(&library.path)?;
    environment::warn();
    let others = std::env::var_os("LD_PRELOAD");
    let mut command = Command::new(path);
    command.arg0(name).args(args).env("LD_PRELOAD", in_front_of(others, entry));
    if signals::was_sigpipe_ignored() {
        // SAFETY: signal() is async-signal-safe, and no other thread exists.
        unsafe {
            command.pre_exec(|| {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                Ok(())
            })
        };
    }
    let error = command.exec();
    Err(Failure::Usage(format!("cannot run '{}': {}", name.display(), reason(&error))))
}

/// The library in front of what is already preloaded.
fn in_front_of(others: Option<OsString>, entry: OsString) -> OsString {
    let mut value = entry;
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    value
}
