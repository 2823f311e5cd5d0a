//! What a file is: kind, size and identity, without its times.
//!
//! To ask for the times of a file makes its next write dearer. Since Linux 6.13 (fs/inode.c,
//! inode_set_ctime_current) a write takes a fine-grained time stamp, and so dirties the inode, if
//! somebody has seen the last one; and XFS refuses such a write under RWF_NOWAIT. `fstat` asks for
//! all; `statx` only for what its mask says (fs/stat.c, generic_fillattr).

use core::ffi::c_int;
use core::mem::MaybeUninit;

use bytemuck::Zeroable;
use libc::{S_IFMT, S_IFREG};

use crate::sys::errno::{Errno, Result};
use crate::sys::raw::syscall;

/// Which file it is: device and inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of the file behind `fd`.
    pub fn of(fd: c_int) -> Result<Identity> {
        FileInfo::of(fd).map(|info| info.identity)
    }

    /// A number that few other files have; not 0.
    pub fn hash(&self) -> u64 {
        (self.device.rotate_left(32) ^ self.inode).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
    }

    /// Whether `fd` is open on this file.
    pub fn is_behind(&self, fd: c_int) -> bool {
        Identity::of(fd).as_ref() == Ok(self)
    }
}

/// What a file was a moment ago.
#[derive(Clone, Copy, Debug)]
pub struct FileInfo {
    /// Which file it is.
    pub identity: Identity,
    /// `S_IFMT` of its mode; 0 for what has no file behind it: eventfds, epolls, ….
    pub kind: u32,
    /// Its size in bytes.
    pub size: u64,
    /// Storage that it has, in units of 512 bytes.
    blocks: u64,
    /// It is on a file system that has a block device.
    pub is_on_device: bool,
}

impl FileInfo {
    /// That of the file behind `fd`: EBADF.
    pub fn of(fd: c_int) -> Result<FileInfo> {
        match ask(fd) {
            // Before Linux 4.11, which has no fine-grained time stamps either; or a filter.
            Err(error) if error != Errno::BADF => ask_for_all(fd),
            asked => asked,
        }
    }

    /// Where the file ends; `u64::MAX` if it is not a regular file.
    pub fn end(&self) -> u64 {
        if self.kind == S_IFREG { self.size } else { u64::MAX }
    }

    /// Whether it has storage for all its bytes. Where holes and storage beyond the end make up for
    /// each other, too.
    pub fn seems_full(&self) -> bool {
        self.blocks.saturating_mul(512) >= self.size
    }
}

fn ask(fd: c_int) -> Result<FileInfo> {
    let mask = libc::STATX_TYPE | libc::STATX_INO | libc::STATX_SIZE | libc::STATX_BLOCKS;
    let empty = c"".as_ptr();
    let mut room = MaybeUninit::<libc::statx>::zeroed();
    let into = room.as_mut_ptr();
    // SAFETY: the empty path is NUL-terminated, and the kernel writes one `struct statx`.
    unsafe { syscall!(libc::SYS_statx, fd, empty, libc::AT_EMPTY_PATH, mask, into) }?;
    // SAFETY: all-zero is a valid `statx`, and the kernel filled it.
    let stat = unsafe { room.assume_init() };
    let device = libc::makedev(stat.stx_dev_major, stat.stx_dev_minor);
    Ok(FileInfo {
        identity: Identity { device, inode: stat.stx_ino },
        kind: u32::from(stat.stx_mode) & S_IFMT,
        size: stat.stx_size,
        blocks: stat.stx_blocks,
        is_on_device: stat.stx_dev_major != 0,
    })
}

#[cold]
fn ask_for_all(fd: c_int) -> Result<FileInfo> {
    let mut room = MaybeUninit::<libc::stat>::zeroed();
    let into = room.as_mut_ptr();
    // SAFETY: the kernel writes one `struct stat`; the call goes to the same layout as libc's on
    // 64-bit Linux.
    unsafe { syscall!(libc::SYS_fstat, fd, into) }?;
    // SAFETY: all-zero is a valid `stat`, and the kernel filled it.
    let stat = unsafe { room.assume_init() };
    Ok(FileInfo {
        identity: Identity { device: stat.st_dev, inode: stat.st_ino },
        kind: stat.st_mode & S_IFMT,
        size: stat.st_size as u64,
        blocks: stat.st_blocks as u64,
        is_on_device: libc::major(stat.st_dev) != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    #[test]
    fn both_ways_tell_the_same() {
        let file = File::open("/proc/self/exe").unwrap();
        let (info, other) =
            (ask(file.as_raw_fd()).unwrap(), ask_for_all(file.as_raw_fd()).unwrap());
        assert_eq!(info.identity, other.identity);
        assert_eq!((info.kind, info.size), (other.kind, other.size));
        assert_eq!((info.blocks, info.is_on_device), (other.blocks, other.is_on_device));
        assert_eq!(info.kind, S_IFREG);
        assert_eq!(info.size, std::fs::metadata("/proc/self/exe").unwrap().len());
        assert_eq!(ask(-1).unwrap_err(), Errno::BADF);
        assert_eq!(ask_for_all(-1).unwrap_err(), Errno::BADF);
    }
}
