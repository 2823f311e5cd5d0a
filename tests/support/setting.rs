//! The variables that tell our library how to work.

use std::io;
use std::process::Command;

use super::{Outcome, skip};

const VARIABLES: [&str; 2] = ["UAIO_ENGINE", "UAIO_RING"];

/// One way of working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// As the library comes.
    Default,
    /// On io_uring.
    Uring,
    /// On threads.
    Pool,
    /// Every context is served in the background.
    Always,
}

impl Setting {
    /// All of them.
    pub const ALL: [Setting; 4] =
        [Setting::Default, Setting::Uring, Setting::Pool, Setting::Always];

    /// For the names of tests.
    pub fn name(self) -> &'static str {
        match self {
            Setting::Default => "default",
            Setting::Uring => "uring",
            Setting::Pool => "pool",
            Setting::Always => "always",
        }
    }

    /// `name::` for all but the default.
    pub fn prefix(self) -> String {
        match self {
            Setting::Default => String::new(),
            _ => format!("{}::", self.name()),
        }
    }

    /// Name and value of the variable.
    pub fn variable(self) -> Option<(&'static str, &'static str)> {
        match self {
            Setting::Default => None,
            Setting::Uring => Some(("UAIO_ENGINE", "uring")),
            Setting::Pool => Some(("UAIO_ENGINE", "pool")),
            Setting::Always => Some(("UAIO_RING", "always")),
        }
    }

    /// Sets this variable for a command, and none of the others.
    pub fn apply(self, command: &mut Command) {
        for variable in VARIABLES {
            command.env_remove(variable);
        }
        command.envs(self.variable());
    }
}

/// Skips where the kernel has no io_uring for us.
pub fn needs_uring() -> Outcome {
    // The kernel's io_uring_params: 120 bytes, all of which may be 0.
    let mut parameters = [0u64; 15];
    // SAFETY: io_uring_setup reads and writes the 120 bytes of `parameters`, which outlives the
    // call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    if ring < 0 {
        return skip(format!("no io_uring: {}", io::Error::last_os_error()));
    }
    // SAFETY: the descriptor was made by the call above, and nobody else knows it.
    unsafe { libc::close(i32::try_from(ring)?) };
    Ok(())
}
