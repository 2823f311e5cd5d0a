//! LD_PRELOAD, whose entries end at spaces and colons: how the library is named in it.

use std::ffi::{CString, OsStr, OsString, c_int};
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, reason};
use crate::temporary;

/// The path as an entry, if it can be one.
pub fn entry(path: &Path) -> Option<&OsStr> {
    let entry = path.as_os_str();
    let is_separated = entry.as_encoded_bytes().iter().any(|byte| b" :".contains(byte));
    (!is_separated).then_some(entry)
}

/// An entry for the program that this process is about to become: the path, or a link to it.
pub fn entry_or_link(path: &Path) -> Result<OsString, Failure> {
    if let Some(entry) = entry(path) {
        return Ok(entry.to_os_string());
    }
    let cannot = |error: io::Error| {
        Failure::Usage(format!(
            "LD_PRELOAD cannot hold the path '{}', which contains a space or a colon, and a link \
             to it cannot be made: {} (set TMPDIR, or put the library elsewhere and name it with \
             '--library PATH')",
            path.display(),
            reason(&error)
        ))
    };
    let directory = directory().map_err(cannot)?;
    let link = directory.join("libaio.so");
    // Others may follow the link, as they may follow the path: the program may change its user and
    // start children then, which preload as well. Nobody else can put another library there.
    let made = fs::set_permissions(&directory, Permissions::from_mode(0o711))
        .and_then(|()| symlink(path, &link))
        .and_then(|()| remove_afterwards(&directory, &link));
    match made {
        Ok(()) => Ok(link.into_os_string()),
        Err(error) => {
            let _ = fs::remove_dir_all(&directory);
            Err(cannot(error))
        }
    }
}

/// Makes a directory that LD_PRELOAD can name.
fn directory() -> io::Result<PathBuf> {
    let chosen = std::env::temp_dir();
    // The program may be in another directory by the time it starts a child.
    let is_usable = chosen.is_absolute() && entry(&chosen).is_some();
    temporary::directory(if is_usable { &chosen } else { Path::new("/tmp") }, "uaio-")
}

/// Leaves a process behind that removes the directory when this one has ended, whose place the
/// program takes. The program does not know about it: it is nobody's child, in a session of its
/// own, and holds none of our files. The link is there for as long as the program runs, since its
/// children preload it too; those that outlive it start their own children without the library.
fn remove_afterwards(directory: &Path, link: &Path) -> io::Result<()> {
    let directory = CString::new(directory.as_os_str().as_bytes())?;
    let link = CString::new(link.as_os_str().as_bytes())?;
    // SAFETY: there is no other thread that could hold a lock in the child, which makes system
    // calls only, on strings that were made before, and does not return.
    unsafe {
        let process = libc::getpid();
        // Closed by exec. Linux before 5.3 has none, nor have some sandboxes.
        let end = libc::syscall(libc::SYS_pidfd_open, process, 0) as c_int;
        let child = match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {
                libc::setsid();
                match libc::fork() {
                    -1 => libc::_exit(1),
                    0 => {}
                    _ => libc::_exit(0),
                }
                let_go_of_all_but(end);
                wait_for_the_end(process, end);
                libc::unlink(link.as_ptr());
                libc::rmdir(directory.as_ptr());
                libc::_exit(0)
            }
            child => child,
        };
        let mut status = 0;
        // It fails where our parent has made us ignore SIGCHLD, with the child gone all the same.
        if libc::waitpid(child, &raw mut status, 0) == child && status != 0 {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
    }
    Ok(())
}

/// Gives up everything that others could miss: the current directory, and all files but `kept`.
///
/// # Safety
/// Nothing of this process uses its descriptors afterwards.
unsafe fn let_go_of_all_but(kept: RawFd) {
    // SAFETY: system calls on descriptors that, as the caller says, nobody uses.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"uaio-cleanup".as_ptr());
        libc::chdir(c"/".as_ptr());
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        for standard in 0..3 {
            libc::dup2(null, standard);
        }
        let close = |first: RawFd, last: RawFd| {
            if first <= last && libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
                // Linux before 5.9.
                for fd in first..=last.min(1 << 16) {
                    libc::close(fd);
                }
            }
        };
        close(3, kept - 1);
        close(kept.max(2) + 1, RawFd::MAX);
    }
}

/// Returns when `process` has ended, which `end` becomes readable by, unless it is negative.
fn wait_for_the_end(process: libc::pid_t, end: RawFd) {
    let mut end = libc::pollfd { fd: end, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd; signal 0 is sent to nobody.
    unsafe {
        loop {
            // A negative descriptor is skipped: then we look once a second.
            libc::poll(&raw mut end, 1, if end.fd < 0 { 1000 } else { -1 });
            let is_gone = end.fd < 0
                && libc::kill(process, 0) != 0
                && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
            if end.revents != 0 || is_gone {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_separator_is_no_entry() {
        assert_eq!(entry(Path::new("/a/b")), Some(OsStr::new("/a/b")));
        assert_eq!(entry(Path::new("/a b")), None);
        assert_eq!(entry(Path::new("/a:b")), None);
    }

    #[test]
    fn the_end_of_a_process_is_noticed_with_and_without_a_descriptor() {
        for with_descriptor in [false, true] {
            let mut child = std::process::Command::new("sleep").arg("0.1").spawn().unwrap();
            let pid = child.id() as libc::pid_t;
            // SAFETY: the child is not reaped yet; the descriptor is nobody else's.
            let end = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) as c_int };
            let end = if with_descriptor { end } else { -1 };
            let reaper = std::thread::spawn(move || child.wait().unwrap());
            wait_for_the_end(pid, end);
            assert!(reaper.join().unwrap().success());
        }
    }
}
