//! The system calls that the library makes, and what it cannot do without each of them.
//!
//! The test `refused` holds this against the sources.

use libc::c_long;

/// What may be missing when a call is refused: the names of refused.c.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Nothing is.
    Nothing,
    /// Polls with an eventfd.
    SignalledPolls,
    /// Polls that are not ready.
    Polls,
    /// Nothing, but a worker of the kernel may stay.
    Workers,
    /// Contexts.
    Contexts,
    /// What contexts do that are the kernel's own, which they become with eventfds.
    Eventfds,
    /// The same, and that polls can be cancelled, if the call is refused later.
    Cancels,
}

impl Allowance {
    /// For the command line.
    pub fn name(self) -> &'static str {
        match self {
            Allowance::Nothing => "nothing",
            Allowance::SignalledPolls => "signalled_polls",
            Allowance::Polls => "polls",
            Allowance::Workers => "workers",
            Allowance::Contexts => "contexts",
            Allowance::Eventfds => "eventfds",
            Allowance::Cancels => "cancels",
        }
    }
}

/// A system call with its name.
pub type Call = (&'static str, c_long);

/// Entries from the names of the libc crate.
macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// With one of these refused nothing is missing.
pub const REPLACED: &[Call] = calls![
    SYS_capget SYS_capset SYS_close SYS_epoll_pwait SYS_fadvise64 SYS_fcntl SYS_fdatasync SYS_fstat
    SYS_fstatfs SYS_fsync SYS_ftruncate SYS_getpid SYS_getsockopt SYS_gettid SYS_io_uring_enter
    SYS_io_uring_setup SYS_ioctl SYS_ioprio_get SYS_ioprio_set SYS_kcmp SYS_madvise
    SYS_memfd_create SYS_mprotect SYS_mremap SYS_openat SYS_pidfd_open SYS_pipe2 SYS_ppoll SYS_prctl
    SYS_pread64 SYS_preadv2 SYS_prlimit64 SYS_process_vm_readv SYS_pwrite64 SYS_pwritev2 SYS_read
    SYS_readlinkat SYS_rt_sigaction SYS_rt_sigprocmask SYS_sched_setaffinity SYS_sched_yield
    SYS_sendfile SYS_sendto SYS_setfsgid SYS_setfsuid SYS_sigaltstack SYS_statx SYS_tgkill
    SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime SYS_write
];

/// The kernel's AIO, of which the same is true but in contexts that are the kernel's own.
pub const KERNEL_AIO: &[Call] = &[
    ("SYS_io_setup", libc::SYS_io_setup),
    ("SYS_io_submit", libc::SYS_io_submit),
    ("SYS_io_getevents", libc::SYS_io_getevents),
    ("SYS_IO_PGETEVENTS", PGETEVENTS),
    ("SYS_io_cancel", libc::SYS_io_cancel),
    ("SYS_io_destroy", libc::SYS_io_destroy),
];
/// io_pgetevents(2), which the libc crate does not have.
#[cfg(target_arch = "x86_64")]
const PGETEVENTS: c_long = 333;
/// io_pgetevents(2), which the libc crate does not have.
#[cfg(not(target_arch = "x86_64"))]
const PGETEVENTS: c_long = 292;

/// Calls that take the place of others.
pub const REPLACEMENTS: &[Call] = calls![
    SYS_close_range SYS_dup SYS_epoll_pwait2 SYS_preadv SYS_process_vm_writev
    SYS_pselect6 SYS_pwritev SYS_readv SYS_sendmsg SYS_syncfs SYS_tkill SYS_writev
];

/// Those that only this architecture has.
#[cfg(target_arch = "x86_64")]
pub const OLD_REPLACEMENTS: &[Call] = calls![SYS_epoll_create SYS_epoll_wait SYS_eventfd];
/// Those that only this architecture has.
#[cfg(not(target_arch = "x86_64"))]
pub const OLD_REPLACEMENTS: &[Call] = &[];

/// Those whose old forms take their place, where the architecture has them.
pub const REPLACED_BY_OLD: &[Call] = calls![SYS_epoll_create1 SYS_eventfd2];

/// Those that nothing can take the place of, and what is missing then.
pub const NEEDED: &[(Call, Allowance)] = &[
    (("SYS_epoll_ctl", libc::SYS_epoll_ctl), Allowance::Polls),
    // The thread's own entry of a ring cannot be taken back, and with it an idle worker.
    (("SYS_io_uring_register", libc::SYS_io_uring_register), Allowance::Workers),
    (("SYS_munmap", libc::SYS_munmap), Allowance::Workers),
    (("SYS_mmap", libc::SYS_mmap), Allowance::Contexts),
    // What waits does so by looking again and again.
    (("SYS_futex", libc::SYS_futex), Allowance::Nothing),
];
