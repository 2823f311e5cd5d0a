//! A file system of our own on a loop device, for the length of a run.
//!
//! It is mounted where nobody else sees it, its image has no name, and its device goes when it is
//! unmounted: all of it ends with the process at the latest, however that ends.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::child;
use super::loop_device::LoopDevice;
use super::workspace;
use crate::failure::{Failure, reason};
use crate::signals::Signals;
use crate::{output, temporary};

/// The file systems that are made.
pub const NAMES: [&str; 2] = ["xfs", "btrfs"];

/// XFS wants 300 MiB.
const SMALLEST: u64 = 512 << 20;
/// The image has so many times the room that is needed: Btrfs writes nothing in place.
const ROOM: u64 = 4;
/// For mkfs.
const LIMIT: Duration = Duration::from_secs(60);
/// For an umount.
const PATIENCE: Duration = Duration::from_secs(5);

/// A mounted file system.
pub struct Volume {
    directory: Directory,
}

/// The place where it is mounted.
struct Directory {
    path: PathBuf,
    is_mounted: bool,
}

impl Volume {
    /// Makes the file system called `name`, with an image in `parent`, and mounts it. It has room
    /// for a workspace with `bytes` of data. A failed job is a machine that lacks something.
    pub fn create(
        name: &str,
        parent: &Path,
        bytes: u64,
        signals: &Signals,
    ) -> Result<Volume, Failure> {
        let mkfs = format!("mkfs.{name}");
        run(Command::new(&mkfs).arg("-V"), &mkfs, signals)?;
        let failed = |what: &'static str| move |error: io::Error| Failure::io(what, &error);
        let path = temporary::directory(parent, "uaio-bench-").map_err(failed("directory"))?;
        let mut directory = Directory { path, is_mounted: false };
        let image = image(&directory.path, bytes).map_err(failed("image"))?;
        let device = LoopDevice::attach(&image).map_err(failed("loop device"))?;
        // Without -K it would punch holes into the image.
        run(Command::new(&mkfs).args(["-q", "-K"]).arg(&device.path), &mkfs, signals)?;
        mount(&device.path, &directory.path, name).map_err(failed("mount"))?;
        directory.is_mounted = true;
        Ok(Volume { directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.directory.path
    }
}

/// A file for the blocks, without a name.
fn image(directory: &Path, bytes: u64) -> io::Result<File> {
    let path = directory.join("image");
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    let size = (ROOM * workspace::needed(bytes)).max(SMALLEST);
    // SAFETY: passes numbers only.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, size as libc::off_t) } {
        0 => Ok(file),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Runs a program whose success is all that matters.
fn run(command: &mut Command, name: &str, signals: &Signals) -> Result<(), Failure> {
    let (status, _, stderr) = child::run(command, name, signals, LIMIT)?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            let what = stderr.lines().find(|line| !line.trim().is_empty());
            Err(Failure::Job(format!("{name}: {}", what.unwrap_or(&status.to_string()))))
        }
        None => Err(Failure::Job(format!("{name}: did not end within {LIMIT:?}"))),
    }
}

/// What this process and its children mount from here on is not seen by others.
pub fn separate_mounts() -> io::Result<()> {
    let private = libc::MS_REC | libc::MS_PRIVATE;
    let none = std::ptr::null();
    // SAFETY: the path ends with NUL; the other strings may be null for this kind of mount.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) != 0
            || libc::mount(none, c"/".as_ptr(), none, private, none.cast()) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn c_string(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn mount(device: &Path, directory: &Path, kind: &str) -> io::Result<()> {
    let (device, directory, kind) = (c_string(device)?, c_string(directory)?, CString::new(kind)?);
    let [device, directory, kind] = [&device, &directory, &kind].map(|it| CStr::as_ptr(it));
    // SAFETY: the strings end with NUL; there are no options.
    match unsafe { libc::mount(device, directory, kind, 0, std::ptr::null()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let unmounted = match self.is_mounted {
            true => unmount(&self.path),
            false => Ok(()),
        };
        if let Err(error) = unmounted.and_then(|()| fs::remove_dir(&self.path)) {
            let path = self.path.display();
            output::complain(&format!("cannot clean up '{path}': {}", reason(&error)));
        }
    }
}

fn unmount(directory: &Path) -> io::Result<()> {
    let directory = c_string(directory)?;
    let end = Instant::now() + PATIENCE;
    loop {
        // The io_uring of a process that has ended may hold its files for some moments more.
        let flags = if Instant::now() < end { 0 } else { libc::MNT_DETACH };
        // SAFETY: the path ends with NUL.
        if unsafe { libc::umount2(directory.as_ptr(), flags) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EBUSY) || flags != 0 {
            return Err(error);
        }
        thread::sleep(Duration::from_millis(10));
    }
}
