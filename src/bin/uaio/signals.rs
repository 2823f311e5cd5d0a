//! Signals that would stop us, held back so that what is temporary can be removed first.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

const STOPPING: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's own start-up code, which ignores SIGPIPE.
#[used]
#[unsafe(link_section = ".init_array")]
static RECORD_SIGPIPE: extern "C" fn() = record_sigpipe;

extern "C" fn record_sigpipe() {
    SIGPIPE_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
}

/// What SIGPIPE did when we were started, for the program that takes our place.
pub fn was_sigpipe_ignored() -> bool {
    SIGPIPE_IGNORED.load(Ordering::Relaxed)
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: sigaction only writes the current action, which is read if it has.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn set_of(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set that the rest works on.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// The stopping signals and SIGCHLD, blocked for as long as this lives and read from here.
pub struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

impl Signals {
    /// Blocks the signals. To be called while there is one thread.
    pub fn hold() -> Result<Signals, Failure> {
        // A blocked signal is delivered to a signalfd even when it is ignored, as under nohup.
        let mut held: Vec<c_int> =
            STOPPING.into_iter().filter(|&signal| !is_ignored(signal)).collect();
        held.push(libc::SIGCHLD);
        let set = set_of(&held);
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are valid, and `before` is read only when sigprocmask has written it.
        // A parent that ignores SIGCHLD would take our children's exit status from us, and an
        // ignored SIGXFSZ makes a file size limit an error of write.
        unsafe {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            if libc::sigprocmask(libc::SIG_BLOCK, &set, before.as_mut_ptr()) != 0 {
                return Err(Failure::io("sigprocmask", &io::Error::last_os_error()));
            }
            let before = before.assume_init();
            match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                -1 => {
                    let error = io::Error::last_os_error();
                    libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
                    Err(Failure::io("signalfd", &error))
                }
                fd => Ok(Signals { fd: OwnedFd::from_raw_fd(fd), before }),
            }
        }
    }

    /// Fails when a stopping signal has come.
    pub fn check(&self) -> Result<(), Failure> {
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: `info` has room for the `size` bytes that read stores at most, and is read
            // only when they are all there.
            let signal = unsafe {
                let got = libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size);
                if got != size as isize {
                    return Ok(());
                }
                info.assume_init().ssi_signo as c_int
            };
            if signal != libc::SIGCHLD {
                return Err(Failure::Signal(signal));
            }
        }
    }

    /// What a child process does before exec: it gets the signals as we found them.
    pub fn release_in_child(&self) -> impl Fn() + Send + Sync + use<> {
        let before = self.before;
        move || {
            // SAFETY: the set was filled by sigprocmask; both calls are async-signal-safe.
            unsafe {
                libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
                libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: the set was filled by sigprocmask.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Ends this process by `signal`, so that whoever waits for us sees the truth.
pub fn die_of(signal: c_int) -> ExitCode {
    let set = set_of(&[signal]);
    // SAFETY: `set` is valid; the default action of every stopping signal ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
    }
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}
