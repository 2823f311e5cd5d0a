//! Other threads of this process: whether they live, and where they sleep.

use core::ffi::CStr;

use libc::{O_CLOEXEC, O_RDONLY, SYS_gettid, SYS_openat, SYS_read, SYS_tkill};

use crate::sys::errno::{Errno, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::raw::syscall;

/// Number of the calling thread.
pub fn id() -> u32 {
    // SAFETY: no arguments.
    unsafe { syscall!(SYS_gettid) }.unwrap_or(0) as u32
}

/// Whether a thread has ended: of this process, or of one that shares its memory, which tgkill
/// would have to name. Its number may belong to another thread by now, which is then taken for it.
pub fn is_gone(task: u32) -> bool {
    // SAFETY: no pointers; no signal is sent.
    let sent: Result<usize> = unsafe { syscall!(SYS_tkill, task, 0) };
    sent == Err(Errno::SRCH)
}

/// What a thread does at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It runs or wants to, or nobody may know.
    Unknown,
    /// It sleeps, with its stack pointer there; 0 if it has none.
    Sleeping(usize),
}

/// Where a thread sleeps: fs/proc/base.c, proc_pid_syscall. Costs microseconds, and a descriptor
/// for as long.
pub fn doing(task: u32) -> Doing {
    let mut path = [0u8; 48];
    let Some(path) = path_of(task, &mut path) else { return Doing::Unknown };
    let mut text = [0u8; 256];
    // SAFETY: the kernel reads the path up to its NUL, and writes at most the length of `text`.
    let read: Result<usize> = unsafe {
        syscall!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), O_RDONLY | O_CLOEXEC, 0).and_then(
            |fd| {
                let file = OwnedFd::from_raw(fd as i32);
                syscall!(SYS_read, file.raw(), text.as_mut_ptr(), text.len())
            },
        )
    };
    read.ok()
        .and_then(|count| text.get(..count))
        .and_then(|text| core::str::from_utf8(text).ok())
        .map_or(Doing::Unknown, parse)
}

fn path_of(task: u32, buffer: &mut [u8; 48]) -> Option<&CStr> {
    use std::io::Write;
    // The last byte stays 0.
    let (mut room, _) = buffer.split_at_mut_checked(47)?;
    write!(room, "/proc/self/task/{task}/syscall").ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// `running`; or a number, six arguments unless the number is -1, the stack pointer and the program
/// counter.
fn parse(text: &str) -> Doing {
    let mut fields = text.split_ascii_whitespace().rev();
    let (Some(_counter), Some(stack)) = (fields.next(), fields.next()) else {
        return Doing::Unknown;
    };
    match stack.strip_prefix("0x").and_then(|digits| usize::from_str_radix(digits, 16).ok()) {
        Some(stack) => Doing::Sleeping(stack),
        None => Doing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        assert_eq!(parse("running\n"), Doing::Unknown);
        assert_eq!(parse(""), Doing::Unknown);
        assert_eq!(parse("-1 0x7ffd10 0x7f00\n"), Doing::Sleeping(0x7f_fd10));
        let line = "271 0x7f 0x1 0x0 0x0 0x8 0x0 0x7ffe5d2a9b40 0x7f6b1c0d5\n";
        assert_eq!(parse(line), Doing::Sleeping(0x7ffe_5d2a_9b40));
    }

    #[test]
    fn a_thread_sleeps_and_ends() {
        let (tell, told) = mpsc::channel();
        let (wake, woken) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let here = 0u8;
            tell.send((id(), (&raw const here).addr())).unwrap();
            woken.recv().unwrap();
        });
        let (task, stack) = told.recv().unwrap();
        assert!(!is_gone(task) && !is_gone(id()));
        let mut doing_now = Doing::Unknown;
        for _ in 0..1000 {
            doing_now = doing(task);
            if doing_now != Doing::Unknown {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let Doing::Sleeping(at) = doing_now else { panic!("{doing_now:?}") };
        assert!(stack.abs_diff(at) < 65536, "{stack:x} {at:x}");
        wake.send(()).unwrap();
        thread.join().unwrap();
        // The kernel wakes the joiner a moment before the thread is gone.
        assert!((0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            is_gone(task)
        }));
    }
}
