//! Child processes, watched until they end: their output, their calls, and the signals we get.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use super::aio_calls::{Pending, Watch};
use crate::failure::Failure;
use crate::signals::Signals;

/// What a finished child leaves behind.
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub errors: String,
    /// How its kernel AIO calls were watched, if that was asked for.
    pub watch: Option<Watch>,
}

impl Outcome {
    /// Fails if the child, called `name`, has not ended well.
    pub fn check(&self, name: &str) -> Result<(), Failure> {
        if self.status.success() {
            return Ok(());
        }
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("{name} ended with status {code}"),
            (_, Some(signal)) => format!("{name} was killed by signal {signal}"),
            _ => format!("{name}: {}", self.status),
        };
        Err(Failure::Job(match self.errors.as_str() {
            "" => how,
            errors => format!("{how}: {errors}"),
        }))
    }
}

/// Runs `command` to its end. `on_line` gets each line of its standard output, with its process id;
/// `pending` is what [`super::aio_calls::watch`] has prepared in `command`.
///
/// A stopping signal, or an error, ends the child and all of its process group first.
pub fn run(
    command: &mut Command,
    signals: &Signals,
    pending: Option<Pending>,
    on_line: impl FnMut(u32, &str),
) -> Result<Outcome, Failure> {
    let name = command.get_program().display().to_string();
    let failed = |error: io::Error| Failure::io(format_args!("'{name}'"), &error);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let release = signals.release_in_child();
    // SAFETY: `release` only makes async-signal-safe calls.
    unsafe {
        command.pre_exec(move || {
            release();
            Ok(())
        })
    };
    let child = Reaped(command.spawn().map_err(failed)?);
    let watch = pending.map(Pending::receive).transpose().map_err(failed)?;
    follow(child, watch, signals, on_line, failed)
}

/// A child that is killed and waited for when we lose interest.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.0.try_wait() {
            return;
        }
        if let Ok(group) = libc::pid_t::try_from(self.0.id()) {
            // SAFETY: kill has no memory to break; the child is not reaped, so the group exists.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        let _ = self.0.wait();
    }
}

fn follow(
    mut child: Reaped,
    mut watch: Option<Watch>,
    signals: &Signals,
    mut on_line: impl FnMut(u32, &str),
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Outcome, Failure> {
    let pid = child.0.id();
    let (mut stdout, mut stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut status = None;
    loop {
        let counter = match &watch {
            Some(Watch::Counting(counter)) if status.is_none() => Some(counter.as_fd()),
            _ => None,
        };
        let sources = [
            Some(signals.as_fd()),
            counter,
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ];
        // After the end only what is already in the pipes is of interest.
        let timeout = if status.is_some() { 0 } else { -1 };
        let ready = poll(sources, timeout).map_err(&failed)?;
        signals.check()?;
        // Not at a hang-up, when there is no call to receive.
        if let (true, Some(Watch::Counting(counter))) = (ready[1] & libc::POLLIN != 0, &mut watch) {
            counter.answer().map_err(&failed)?;
        }
        if ready[2] != 0 {
            read_some(&mut stdout, &mut output).map_err(&failed)?;
            while let Some(end) = output.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = output.drain(..=end).collect();
                on_line(pid, String::from_utf8_lossy(&line).trim_end());
            }
        }
        if ready[3] != 0 {
            read_some(&mut stderr, &mut errors).map_err(&failed)?;
        }
        match status {
            Some(status) if ready == [0; 4] => {
                let errors = String::from_utf8_lossy(&errors).trim_end().to_string();
                return Ok(Outcome { status, errors, watch });
            }
            Some(_) => {}
            None => status = child.0.try_wait().map_err(&failed)?,
        }
    }
}

/// What poll returns for each of the descriptors.
fn poll<const N: usize>(sources: [Option<BorrowedFd>; N], timeout: i32) -> io::Result<[i16; N]> {
    // A negative descriptor is skipped.
    let mut fds = sources.map(|source| libc::pollfd {
        fd: source.map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: `fds` has N elements.
    if unsafe { libc::poll(fds.as_mut_ptr(), N as libc::nfds_t, timeout) } < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok([0; N]),
            _ => Err(error),
        };
    }
    Ok(fds.map(|fd| fd.revents))
}

/// Appends what can be read at once; the source is closed at its end.
fn read_some(source: &mut Option<impl Read>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let got = match source {
        Some(source) => source.read(&mut buffer)?,
        None => return Ok(()),
    };
    bytes.extend_from_slice(&buffer[..got]);
    if got == 0 {
        *source = None;
    }
    Ok(())
}
