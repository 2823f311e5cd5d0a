//! Counts the kernel AIO calls of a child process, by seccomp.
//!
//! The child installs a filter that reports each such call to us and waits; we count it and let it
//! go on (`SECCOMP_USER_NOTIF_FLAG_CONTINUE`). The filter's listening descriptor is made in the
//! child, between fork and exec, and comes to us through a socket. Where the kernel offers no
//! listener the calls are forbidden instead (ENOSYS), and where there is no seccomp they are not
//! watched; both are said, so that nobody mistakes them for a count.

use std::ffi::{c_int, c_long, c_uint, c_ulong};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{sock_filter, sock_fprog};

use super::passing;

/// `seccomp_data.arch` of our own calls, as a filter for another would count nothing; and the
/// number that the libc crate does not have everywhere.
#[cfg(target_arch = "x86_64")]
const ARCH_AND_PGETEVENTS: (u32, c_long) = (0xc000_003e, 333);
#[cfg(target_arch = "aarch64")]
const ARCH_AND_PGETEVENTS: (u32, c_long) = (0xc000_00b7, 292);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("uaio: AUDIT_ARCH of this machine is missing");

const ARCH: u32 = ARCH_AND_PGETEVENTS.0;

/// The calls of kernel AIO.
const CALLS: [(c_long, &str); 6] = [
    (libc::SYS_io_setup, "io_setup"),
    (libc::SYS_io_destroy, "io_destroy"),
    (libc::SYS_io_submit, "io_submit"),
    (libc::SYS_io_cancel, "io_cancel"),
    (libc::SYS_io_getevents, "io_getevents"),
    (ARCH_AND_PGETEVENTS.1, "io_pgetevents"),
];

/// How a child is watched.
pub enum Watch {
    /// Every call is counted.
    Counting(Counter),
    /// Every call fails with ENOSYS; why they could not be counted.
    Forbidding(io::Error),
    /// Nothing is known about its calls; why.
    Absent(io::Error),
}

/// Our end of the socket to a child that is to be spawned.
pub struct Pending(UnixDatagram);

/// Makes the child of `command` install the filter.
pub fn watch(command: &mut Command) -> io::Result<Pending> {
    let (ours, theirs) = UnixDatagram::pair()?;
    let count = filter(libc::SECCOMP_RET_USER_NOTIF);
    let forbid = filter(libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
    let install = move || {
        // The child runs this between fork and exec: system calls only, nothing that allocates. It
        // reports the errno of each attempt, 0 for one that was not needed or succeeded.
        let (listener, report) = match install_filter(&count, true) {
            Ok(listener) => (Some(listener), [0, 0]),
            Err(why) => (None, [why, install_filter(&forbid, false).err().unwrap_or(0)]),
        };
        passing::send(theirs.as_fd(), report, listener)
    };
    // SAFETY: `install` makes system calls only and works on memory that was allocated before.
    unsafe { command.pre_exec(install) };
    Ok(Pending(ours))
}

impl Pending {
    /// What the child achieved. It has been spawned, so its message is there.
    pub fn receive(self) -> io::Result<Watch> {
        let (report, listener) = passing::receive(self.0.as_fd())?;
        Ok(match (listener, report) {
            (Some(listener), _) => Watch::Counting(Counter { listener, counts: [0; CALLS.len()] }),
            (None, [count, 0]) => Watch::Forbidding(io::Error::from_raw_os_error(count)),
            (None, [_, forbid]) => Watch::Absent(io::Error::from_raw_os_error(forbid)),
        })
    }
}

/// The listening end of the child's filter.
pub struct Counter {
    listener: OwnedFd,
    counts: [u64; CALLS.len()],
}

impl Counter {
    /// Counts one call and lets the child go on. To be called when the descriptor is readable.
    pub fn answer(&mut self) -> io::Result<()> {
        // SAFETY: all zeros is a valid value of the kernel's plain structures, and what the kernel
        // asks for on input; the ioctls work on exactly these.
        unsafe {
            let mut call: libc::seccomp_notif = zeroed();
            if libc::ioctl(self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call) < 0
            {
                let error = io::Error::last_os_error();
                // The caller was killed in the meantime.
                return if error.raw_os_error() == Some(libc::ENOENT) {
                    Ok(())
                } else {
                    Err(error)
                };
            }
            let known = CALLS.iter().position(|&(number, _)| number == c_long::from(call.data.nr));
            if let Some(count) = known.and_then(|index| self.counts.get_mut(index)) {
                *count += 1;
            }
            let mut response: libc::seccomp_notif_resp = zeroed();
            response.id = call.id;
            response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
            if self.respond(&mut response) == Err(libc::EINVAL) {
                // Before Linux 5.5 a call cannot go on; it is counted all the same.
                response.flags = 0;
                response.error = -libc::ENOSYS;
                let _ = self.respond(&mut response);
            }
        }
        Ok(())
    }

    fn respond(&self, response: &mut libc::seccomp_notif_resp) -> Result<(), c_int> {
        let listener = self.listener.as_raw_fd();
        // SAFETY: the ioctl reads one `seccomp_notif_resp`.
        match unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, response) } {
            0 => Ok(()),
            _ => Err(last_errno()),
        }
    }

    /// The calls that were made, and how often.
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let names = CALLS.iter().map(|&(_, name)| name);
        names.zip(self.counts).filter(|&(_, count)| count > 0).collect()
    }
}

impl AsFd for Counter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Applies `action` to the calls of kernel AIO and allows all others.
fn filter(action: u32) -> Vec<sock_filter> {
    const LOAD: c_uint = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const EQUAL: c_uint = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: c_uint = libc::BPF_RET | libc::BPF_K;
    let step = |code: c_uint, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    let calls = CALLS.len() as u8;
    // struct seccomp_data: the number at 0, the architecture at 4.
    let mut steps = vec![step(LOAD, 0, 0, 4), step(EQUAL, 0, calls + 1, ARCH), step(LOAD, 0, 0, 0)];
    for (index, (number, _)) in (0..).zip(CALLS) {
        steps.push(step(EQUAL, calls - index, 0, number as u32));
    }
    steps.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    steps.push(step(RETURN, 0, 0, action));
    steps
}

/// Puts a filter on the calling thread; the descriptor that listens, if `listening`, else 0.
fn install_filter(filter: &[sock_filter], listening: bool) -> Result<RawFd, c_int> {
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    let flags: c_ulong = if listening { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: `program` describes `filter`, which the kernel copies. No new privileges are the
    // condition for a filter without being root.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(last_errno());
        }
        match libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER as c_long,
            flags,
            &raw const program,
        ) {
            result @ 0.. => Ok(result as RawFd),
            _ => Err(last_errno()),
        }
    }
}

fn last_errno() -> c_int {
    // SAFETY: the address is this thread's errno.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(filter: &[sock_filter], arch: u32, number: u32) -> u32 {
        let (mut next, mut value) = (0, 0);
        loop {
            let step = &filter[next];
            next += 1;
            match (u32::from(step.code) & 7, step.k) {
                (libc::BPF_LD, 4) => value = arch,
                (libc::BPF_LD, 0) => value = number,
                (libc::BPF_JMP, k) => {
                    next += usize::from(if value == k { step.jt } else { step.jf });
                }
                (libc::BPF_RET, action) => return action,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_filter_is_for_kernel_aio_alone() {
        let filter = filter(7);
        for (number, name) in CALLS {
            assert_eq!(target_of(&filter, ARCH, number as u32), 7, "{name}");
            assert_eq!(target_of(&filter, 1, number as u32), libc::SECCOMP_RET_ALLOW, "{name}");
        }
        for number in [libc::SYS_read, libc::SYS_io_uring_setup, 4095] {
            assert_eq!(target_of(&filter, ARCH, number as u32), libc::SECCOMP_RET_ALLOW);
        }
    }
    const CALLER: &str = r#"
        #define _GNU_SOURCE
        #include <sys/syscall.h>
        #include <unistd.h>
        int main(void) {
            for (int i = 0; i < 3; i++) syscall(SYS_io_setup, 0, 0);
            syscall(SYS_io_destroy, 0);
            syscall(SYS_io_submit, 0, -1, 0);
            syscall(SYS_io_cancel, 0, 0, 0);
            syscall(SYS_io_getevents, 0, 0, 0, 0, 0);
            syscall(SYS_io_pgetevents, 0, 0, 0, 0, 0, 0);
            return getpid() == 0;
        }
    "#;

    #[test]
    fn every_call_is_counted() {
        let path = std::env::temp_dir().join(format!("uaio-caller-{}", std::process::id()));
        let source = path.with_extension("c");
        std::fs::write(&source, CALLER).unwrap();
        let built = Command::new("cc").arg(&source).arg("-o").arg(&path).status().unwrap();
        std::fs::remove_file(&source).unwrap();
        assert!(built.success());
        let mut command = Command::new(&path);
        let pending = watch(&mut command).unwrap();
        let mut child = command.spawn().unwrap();
        let Watch::Counting(mut counter) = pending.receive().unwrap() else {
            // The tests of the command skip with the reason then.
            assert!(child.wait().unwrap().success());
            return std::fs::remove_file(&path).unwrap();
        };
        let mut ended = false;
        while !ended {
            let fd = counter.as_fd().as_raw_fd();
            let mut fd = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd.
            unsafe { libc::poll(&raw mut fd, 1, 10) };
            if fd.revents & libc::POLLIN != 0 {
                counter.answer().unwrap();
            } else {
                ended = child.try_wait().unwrap().is_some();
            }
        }
        std::fs::remove_file(&path).unwrap();
        assert!(child.wait().unwrap().success());
        let expected = [3, 1, 1, 1, 1, 1];
        let names = CALLS.iter().map(|&(_, name)| name);
        assert_eq!(counter.counts(), names.zip(expected).collect::<Vec<_>>());
    }
}
