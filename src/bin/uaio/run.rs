//! `uaio run PROGRAM`: the program takes the place of this process, with the library preloaded.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::failure::{Failure, reason};
use crate::{library, program, signals};

/// Returns only when the program cannot be run.
pub fn exec(chosen: Option<&Path>, name: &OsStr, args: &[OsString]) -> Result<(), Failure> {
    let library = library::find(chosen)?;
    let Some(entry) = library::preload_entry(&library.path) else {
        return Err(Failure::Usage(format!(
            "LD_PRELOAD cannot hold the path '{}', which contains a space or a colon; \
             put the library elsewhere and name it with '--library PATH'",
            library.path.display()
        )));
    };
    let path = program::find(name)?;
    let mut command = Command::new(path);
    command.arg0(name).args(args).env("LD_PRELOAD", preload(entry, std::env::var_os("LD_PRELOAD")));
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
fn preload(entry: &OsStr, others: Option<OsString>) -> OsString {
    let mut value = entry.to_os_string();
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    value
}
