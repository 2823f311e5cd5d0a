//! The files of a measurement: the data file that all share, and one for appends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::super::job::{Access, Job};
use super::{Outcome, Stop};

/// Opens the data file.
pub fn open_data(job: &Job, access: Access) -> Outcome<File> {
    open(&job.data, access, OpenOptions::new().read(true).write(true))
}

/// Makes an empty file that nobody else sees.
pub fn make_empty(job: &Job, access: Access) -> Outcome<File> {
    let path = job.directory.join(format!("append-{}", std::process::id()));
    let file = open(&path, access, OpenOptions::new().write(true).create_new(true))?;
    fs::remove_file(&path).map_err(|error| failed("unlink", &error))?;
    Ok(file)
}

fn open(path: &Path, access: Access, options: &mut OpenOptions) -> Outcome<File> {
    if access == Access::Direct {
        options.custom_flags(libc::O_DIRECT);
    }
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) if access == Access::Direct => {
            Stop::Skip("the file system does not have O_DIRECT".to_string())
        }
        _ => failed(&path.display().to_string(), &error),
    })?;
    if access == Access::Cold {
        // Reading ahead would make cached reads of cold ones.
        advise(&file, libc::POSIX_FADV_RANDOM)?;
    }
    Ok(file)
}

/// Takes the file out of the page cache. Nothing of it is dirty.
pub fn drop_cache(file: &File) -> Outcome {
    advise(file, libc::POSIX_FADV_DONTNEED)
}

fn advise(file: &File, advice: i32) -> Outcome {
    // SAFETY: passes numbers only.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) } {
        0 => Ok(()),
        errno => super::fail("posix_fadvise", errno),
    }
}

/// Reads the first `bytes` into the page cache.
pub fn warm_cache(file: &File, bytes: u64) -> Outcome {
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    while done < bytes {
        match file.read_at(&mut buffer, done) {
            Ok(0) => return Err(Stop::Fail("the data file is too short".to_string())),
            Ok(got) => done += got as u64,
            Err(error) => return Err(failed("read", &error)),
        }
    }
    Ok(())
}

/// Empties the file.
pub fn truncate(file: &File) -> Outcome {
    file.set_len(0).map_err(|error| failed("ftruncate", &error))
}

/// Writes what is dirty.
pub fn sync(file: &File) -> Outcome {
    file.sync_data().map_err(|error| failed("fdatasync", &error))
}

fn failed(what: &str, error: &io::Error) -> Stop {
    Stop::Fail(format!("{what}: {}", crate::failure::reason(error)))
}
