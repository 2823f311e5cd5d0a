//! Commands with a time limit, and all they wrote.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::scratch::Scratch;
use super::{Outcome, fail};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status or signal.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    shown: String,
}

/// Runs a command to its end, or for `limit` at most: then it is killed, with its children, and
/// the test has failed.
///
/// It finds other libraries than usual only where the command itself says so: cargo's own
/// `LD_LIBRARY_PATH` names the directory of our library.
pub fn run(command: &mut Command, limit: Duration) -> Outcome<Ended> {
    let scratch = Scratch::new("output");
    let (stdout, stderr) = (scratch.path().join("stdout"), scratch.path().join("stderr"));
    // Files, not pipes: a child that lingers in the background cannot keep them from their end.
    for variable in ["LD_LIBRARY_PATH", "LD_PRELOAD"] {
        if !command.get_envs().any(|(name, _)| name == variable) {
            command.env_remove(variable);
        }
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&stdout)?)
        .stderr(File::create(&stderr)?)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > limit {
            // SAFETY: signals only the group that was made for this child, which is not reaped yet.
            unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGKILL) };
            child.wait()?;
            break None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let ended = Ended {
        status: status.unwrap_or(ExitStatus::from_raw(libc::SIGKILL)),
        stdout: read(&stdout),
        stderr: read(&stderr),
        shown: format!("{command:?}"),
    };
    match status {
        Some(_) => Ok(ended),
        None => fail(format!("still running after {limit:?}, killed\n{}", ended.report())),
    }
}

/// The command begins with this action for a signal (`SIG_DFL`, `SIG_IGN`), whatever ours is.
pub fn set_action(command: &mut Command, signal: i32, action: libc::sighandler_t) {
    // SAFETY: signal() is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            libc::signal(signal, action);
            Ok(())
        })
    };
}

impl Ended {
    /// Fails unless the command exited with 0.
    pub fn expect_success(self) -> Outcome<Self> {
        if self.status.success() { Ok(self) } else { fail(self.report()) }
    }

    /// Everything about the command, for the message of a failure.
    pub fn report(&self) -> String {
        format!(
            "{}\n{}\n--- stdout\n{}--- stderr\n{}",
            self.shown, self.status, self.stdout, self.stderr
        )
    }
}

/// The test fails unless `condition` holds for a command that has ended.
pub fn expect(condition: bool, what: &str, ended: &Ended) -> Outcome {
    if condition { Ok(()) } else { fail(format!("{what}\n{}", ended.report())) }
}
