//! Workers: this command itself, started again for one measurement.

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::job::{Answer, Job};
use super::subjects::{Engine, Subject, VARIABLE};
use crate::failure::Failure;
use crate::signals::Signals;

/// The hidden command.
pub const WORKER: &str = "bench-worker";

/// Why there is no answer.
pub enum Trouble {
    /// The measurement failed, which says something about the library.
    Measurement(String),
    /// We cannot go on.
    Ours(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Ours(failure)
    }
}

/// Makes one measurement in a process of its own, which is killed after `limit`.
pub fn ask(
    job: &Job,
    subject: &Subject,
    signals: &Signals,
    limit: Duration,
) -> Result<Answer, Trouble> {
    let json =
        serde_json::to_string(job).map_err(|error| Failure::Job(format!("{WORKER}: {error}")))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("uaio").arg(WORKER).arg(json);
    match subject.engine.and_then(Engine::value) {
        Some(value) => command.env(VARIABLE, value),
        None => command.env_remove(VARIABLE),
    };
    // Each worker loads the one library that it is told.
    command.env_remove("LD_PRELOAD").env_remove("LD_LIBRARY_PATH");
    let (status, stdout, stderr) = run(&mut command, WORKER, signals, limit)?;
    let fail = |what: String| Err(Trouble::Measurement(what));
    match status {
        None => fail(format!("no answer within {limit:?}")),
        Some(status) if !status.success() => {
            let stderr = stderr.trim();
            let stderr = stderr.strip_prefix("uaio: ").unwrap_or(stderr);
            match status.signal() {
                Some(signal) => fail(format!("killed by signal {signal}: {stderr}")),
                None => fail(stderr.to_string()),
            }
        }
        Some(_) => serde_json::from_str(stdout.trim())
            .or_else(|error| fail(format!("not an answer: {error}: {stdout}"))),
    }
}

/// How a child ended, and what it wrote to standard output and to standard error.
pub type Ended = (Option<std::process::ExitStatus>, String, String);

/// Runs `command`, which messages call `name`; without a status if it had to be killed.
pub fn run(
    command: &mut Command,
    name: &str,
    signals: &Signals,
    limit: Duration,
) -> Result<Ended, Failure> {
    let failed = |error: io::Error| Failure::io(name, &error);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let release = signals.release_in_child();
    // SAFETY: both calls are async-signal-safe, and what they use was made before the fork.
    unsafe {
        command.pre_exec(move || {
            // Also when we are killed, nobody should be left measuring.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            release();
            Ok(())
        })
    };
    let mut child = Reaped(command.spawn().map_err(failed)?);
    let (mut stdout, mut stderr) = (child.0.stdout.take(), child.0.stderr.take());
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let end = Instant::now() + limit;
    while stdout.is_some() || stderr.is_some() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((None, String::new(), String::new()));
        }
        let sources = [
            Some(signals.as_fd()),
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ];
        let ready = poll(sources, left).map_err(failed)?;
        signals.check()?;
        if ready[1] {
            read_some(&mut stdout, &mut output).map_err(failed)?;
        }
        if ready[2] {
            read_some(&mut stderr, &mut errors).map_err(failed)?;
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let status = child.0.wait().map_err(failed)?;
    Ok((Some(status), text(output), text(errors)))
}

/// A child that is killed and waited for when we lose interest.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Which of the descriptors have something to say, after `limit` at the latest.
fn poll<const N: usize>(
    sources: [Option<BorrowedFd>; N],
    limit: Duration,
) -> io::Result<[bool; N]> {
    // A negative descriptor is skipped.
    let mut fds = sources.map(|source| libc::pollfd {
        fd: source.map_or(-1, |fd| fd.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    let limit = i32::try_from(limit.as_millis() + 1).unwrap_or(i32::MAX);
    // SAFETY: `fds` has N elements.
    if unsafe { libc::poll(fds.as_mut_ptr(), N as libc::nfds_t, limit) } < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok([false; N]),
            _ => Err(error),
        };
    }
    Ok(fds.map(|fd| fd.revents != 0))
}

/// Appends what can be read at once; the source is closed at its end.
fn read_some(source: &mut Option<impl Read>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let Some(open) = source else { return Ok(()) };
    let got = open.read(&mut buffer)?;
    bytes.extend_from_slice(buffer.get(..got).unwrap_or_default());
    if got == 0 {
        *source = None;
    }
    Ok(())
}
