//! Which operations the kernel would finish inside io_submit.
//!
//! Buffered I/O always is. Direct I/O is asynchronous only when a device has to work: not for holes,
//! not past the end, not when it is refused for its alignment. A write that extends the file or
//! fills a hole runs in the caller too, so that it survives a SIGKILL as it does with the kernel.
//! Syncs are asynchronous on files and directories; a file without an `fsync` refuses at once.

use libc::{RLIMIT_FSIZE, S_IFBLK, S_IFDIR, S_IFMT, S_IFREG};

use crate::engine::Place;
use crate::request::decode::Transfer;
use crate::sys::fd::{self, StatusFlags};
use crate::sys::file::{self, Blocks, Direction};

/// The smallest unit of direct I/O. Devices with a larger one refuse by themselves, later.
const SECTOR: usize = 512;

/// Where a read or write belongs.
#[inline]
pub fn transfer(fd: i32, status: StatusFlags, transfer: &Transfer) -> Place {
    if status.is_direct() { direct(fd, status, transfer) } else { Place::Caller }
}

#[cold]
fn direct(fd: i32, status: StatusFlags, transfer: &Transfer) -> Place {
    let buffer = &transfer.buffer;
    let is_refused =
        !buffer.is_aligned(SECTOR) || !(transfer.offset as usize).is_multiple_of(SECTOR);
    let is_special = transfer.flags.is_file_dependent() || transfer.flags.is_noappend();
    if buffer.is_empty() || is_refused || is_special {
        return Place::Caller;
    }
    let Ok(stat) = fd::stat(fd) else { return Place::Caller };
    match stat.st_mode & S_IFMT {
        S_IFBLK => return Place::Asynchronous,
        S_IFREG => {}
        // O_DIRECT on a pipe means packets.
        _ => return Place::Caller,
    }
    let (offset, len) = (transfer.offset as u64, buffer.len());
    let end = offset.saturating_add(len);
    let size = stat.st_size as u64;
    let is_synchronous = match transfer.direction {
        Direction::Read => offset >= size || file::blocks(fd, offset, len) == Ok(Blocks::None),
        Direction::Write => {
            status.is_append()
                || transfer.flags.is_append()
                || end > size
                || fd::limit(RLIMIT_FSIZE).is_some_and(|limit| end > limit)
                || matches!(file::blocks(fd, offset, len), Ok(Blocks::None | Blocks::Partly))
        }
    };
    if is_synchronous { Place::Caller } else { Place::Asynchronous }
}

/// Where an `fsync` belongs. In the caller it is only a question whether the file has one.
pub fn sync(fd: i32) -> Place {
    let Ok(stat) = fd::stat(fd) else { return Place::Caller };
    match stat.st_mode & S_IFMT {
        _ if fd::is_on_pseudo_file_system(fd) => Place::Caller,
        S_IFREG | S_IFDIR | S_IFBLK => Place::Asynchronous,
        _ => Place::Caller,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::buffer::Buffer;
    use crate::request::decode::RwFlags;
    use std::fs::{File, OpenOptions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileExt, OpenOptionsExt};

    const BLOCK: u64 = 4096;

    /// Blocks 0 and 1 with data, 2 and 3 a hole, on a file system with direct I/O.
    fn sparse(name: &str) -> Option<File> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)
            .ok()?;
        let _ = std::fs::remove_file(&path);
        let plain = OpenOptions::new()
            .write(true)
            .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .unwrap();
        plain.write_all_at(&[1; 8192], 0).unwrap();
        plain.set_len(4 * BLOCK).unwrap();
        plain.sync_all().unwrap();
        Some(file)
    }

    fn place(file: &File, direction: Direction, offset: u64, len: u64) -> Place {
        let wanted = Transfer {
            direction,
            buffer: Buffer::one(1 << 20, len).unwrap(),
            offset: offset as i64,
            flags: RwFlags::default(),
            priority: None,
        };
        let fd = file.as_raw_fd();
        transfer(fd, fd::status_flags(fd).unwrap(), &wanted)
    }

    #[test]
    fn direct_reads_of_data_are_asynchronous_and_holes_are_not() {
        let Some(file) = sparse("choose-read") else { return };
        for (offset, len, expected) in [
            (0, BLOCK, Place::Asynchronous),
            (BLOCK, 2 * BLOCK, Place::Asynchronous),
            (2 * BLOCK, BLOCK, Place::Caller),
            (4 * BLOCK, BLOCK, Place::Caller),
            (0, 100, Place::Caller),
            (0, 0, Place::Caller),
        ] {
            assert_eq!(place(&file, Direction::Read, offset, len), expected, "{offset} {len}");
        }
    }

    #[test]
    fn direct_overwrites_are_asynchronous_and_growth_is_not() {
        let Some(file) = sparse("choose-write") else { return };
        for (offset, len, expected) in [
            (0, 2 * BLOCK, Place::Asynchronous),
            (BLOCK, 2 * BLOCK, Place::Caller),
            (2 * BLOCK, BLOCK, Place::Caller),
            (3 * BLOCK, 2 * BLOCK, Place::Caller),
        ] {
            assert_eq!(place(&file, Direction::Write, offset, len), expected, "{offset} {len}");
        }
    }

    #[test]
    fn buffered_files_and_files_without_fsync_stay_with_the_caller() {
        let file = File::open("/proc/self/status").unwrap();
        assert_eq!(place(&file, Direction::Read, 0, 16), Place::Caller);
        assert_eq!(sync(file.as_raw_fd()), Place::Caller);
        assert_eq!(sync(File::open("/dev/null").unwrap().as_raw_fd()), Place::Caller);
        assert_eq!(sync(File::open("/").unwrap().as_raw_fd()), Place::Asynchronous);
    }
}
