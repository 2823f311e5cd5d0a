//! Duplicates of the program's descriptors that hold a file while a worker needs it.
//!
//! Closing any descriptor of a file drops all POSIX record locks (fcntl F_SETLK) that the process has
//! on it (fs/locks.c, locks_remove_posix), and databases lock their files that way. So before a pin is
//! closed the file is asked whether it is locked; then the pin is kept, and closed when a later one is
//! let go and the lock is gone. It goes in any case with the program's own descriptor: closing that
//! one drops the locks too.
//!
//! *Locks*: `KEPT` is taken only for files that are locked, or when pins are kept.

use crate::sync::{AtomicU32, Lock, Ordering};
use crate::sys::fd::{self, Identity, OwnedFd};

/// A kept pin.
#[derive(Debug)]
struct Kept {
    pin: OwnedFd,
    file: Identity,
}

static KEPT: Lock<Vec<Kept>> = Lock::new(Vec::new());
/// How many there are, for a look without the lock.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A pin that is let go with care, unless it is taken out.
#[derive(Debug)]
pub struct Pin(Option<OwnedFd>);

impl Pin {
    /// Takes care of a duplicate.
    pub fn new(pin: OwnedFd) -> Pin {
        Pin(Some(pin))
    }

    /// The number; -1 once it is taken out.
    pub fn raw(&self) -> i32 {
        self.0.as_ref().map_or(-1, OwnedFd::raw)
    }

    /// Takes the descriptor out.
    pub fn into_inner(mut self) -> Option<OwnedFd> {
        self.0.take()
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(pin) = self.0.take() {
            release(pin);
        }
    }
}

/// Lets go of a pin, at once or when it does no harm.
pub fn release(pin: OwnedFd) {
    if !fd::is_locked(pin.raw()) {
        drop(pin);
        if COUNT.load(Ordering::Relaxed) != 0 {
            sweep();
        }
        return;
    }
    let Ok(file) = Identity::of(pin.raw()) else { return };
    let mut kept = KEPT.lock();
    // One pin is enough to know when the lock of a file is gone, but none of them may be closed
    // before: they are kept, all of them.
    kept.push(Kept { pin, file });
    COUNT.store(kept.len() as u32, Ordering::Relaxed);
}

/// A kept pin that serves as well as a duplicate of `number`, to be used again.
pub fn reuse(number: i32) -> Option<OwnedFd> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let mut kept = KEPT.lock();
    let is_same = |kept: &Kept| fd::is_same_file(kept.pin.raw(), number) == Ok(true);
    // Workers only use positions: another open of the same file in the same mode will do.
    let is_alike = |kept: &Kept| {
        kept.file.is_behind(number) && fd::status_flags(kept.pin.raw()) == fd::status_flags(number)
    };
    let index = kept.iter().position(is_same).or_else(|| kept.iter().position(is_alike))?;
    let found = kept.swap_remove(index);
    COUNT.store(kept.len() as u32, Ordering::Relaxed);
    // The program may have closed our number and opened its own there.
    if found.file.is_behind(found.pin.raw()) {
        Some(found.pin)
    } else {
        let _ = found.pin.into_raw();
        None
    }
}

/// Closes the kept pins whose files are not locked any more.
#[cold]
pub fn sweep() {
    let mut kept = KEPT.lock();
    let mut index = 0;
    while let Some(one) = kept.get(index) {
        if !one.file.is_behind(one.pin.raw()) {
            // Not ours any more: the program has closed it.
            let _ = kept.swap_remove(index).pin.into_raw();
        } else if fd::is_locked(one.pin.raw()) {
            index += 1;
        } else {
            kept.swap_remove(index);
        }
    }
    COUNT.store(kept.len() as u32, Ordering::Relaxed);
}

/// A forked child has no locks of its parent's: it closes everything.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe { KEPT.force_unlock() };
    let mut kept = KEPT.lock();
    for one in kept.iter() {
        fd::close(one.pin.raw());
    }
    // Not `clear`: freeing memory is not for a fork handler.
    core::mem::forget(core::mem::take(&mut *kept));
    COUNT.store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    fn lock(file: &File, kind: i32) {
        let range = libc::flock {
            l_type: kind as i16,
            l_whence: libc::SEEK_SET as i16,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        // SAFETY: one `struct flock`.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &range) }, 0);
    }

    #[test]
    fn a_pin_is_kept_while_its_file_is_locked() {
        let path = std::env::temp_dir().join(format!("uaio-pins-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.unwrap();
        std::fs::remove_file(&path).unwrap();
        lock(&file, libc::F_WRLCK);
        let pin = fd::duplicate(file.as_raw_fd()).unwrap();
        let number = pin.raw();
        release(pin);
        assert!(fd::is_locked(file.as_raw_fd()), "the lock is still there");
        let again = reuse(file.as_raw_fd()).unwrap();
        assert_eq!(again.raw(), number);
        release(again);
        lock(&file, libc::F_UNLCK);
        release(fd::duplicate(file.as_raw_fd()).unwrap());
        assert!(fd::status_flags(number).is_err(), "closed with the next one");
    }
}
