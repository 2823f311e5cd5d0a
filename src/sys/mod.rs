//! System calls, one family a file, each returning `Result<_, Errno>`.
//!
//! They are issued by the instruction itself, not through libc: `errno` stays the program's, no
//! cancellation point is passed, and the `syscall` that this library exports is not in the way.

pub mod atomic_fd;
pub mod bell;
pub mod clock;
pub mod cred;
pub mod epoll;
pub mod errno;
#[cfg(feature = "fault-injection")]
mod faults;
pub mod fd;
pub mod file;
pub mod file_info;
pub mod futex;
pub mod host;
pub mod kaio;
pub mod mmap;
pub mod poll;
pub mod raw;
pub mod refusal;
pub mod signal;
pub mod task;
pub mod thread;
pub mod uring;
