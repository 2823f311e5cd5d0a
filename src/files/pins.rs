//! Duplicates of the program's descriptors that hold a file while a worker needs it.
//!
//! Closing any descriptor of a file drops all POSIX record locks (fcntl F_SETLK) that the process
//! has on it (fs/locks.c, locks_remove_posix), and databases lock their files that way. So before a
//! pin is closed the file is asked whether it is locked; then the pin is kept, to be used again,
//! and closed when a later one is let go and the lock is gone. It goes in any case with the
//! program's own descriptor: closing that one drops the locks too.
//!
//! While pins are kept, each release also looks at one file that has some, in turn: so those of a
//! file that has no more requests go as well.
//!
//! *Locks*: kept pins are spread by their file over shards with a lock each, taken only for files
//! that are locked, or while pins are kept. Under it pins are compared, in memory; what is asked of
//! the kernel is asked outside, but by the thread that closes the pins of a file that is not locked
//! any more.

use crate::lock::Lock;
use crate::sync::{AtomicU32, Ordering};
use crate::sys::errno::Result;
use crate::sys::fd::{self, OwnedFd, StatusFlags};
use crate::sys::file_info::{FileInfo, Identity};

/// How many shards there are.
const SHARDS: usize = 64;
/// How many kept pins are tried before a new one is made.
const MAX_ATTEMPTS: usize = 4;

/// A kept pin.
#[derive(Debug)]
struct Kept {
    pin: OwnedFd,
    file: Identity,
    /// What they were when it was kept.
    status: StatusFlags,
}

/// The kept pins of some files.
#[derive(Debug)]
struct Shard {
    kept: Lock<Vec<Kept>>,
    /// How many there are, for a look without the lock.
    count: AtomicU32,
}

static KEPT: [Shard; SHARDS] =
    [const { Shard { kept: Lock::new(Vec::new()), count: AtomicU32::new(0) } }; SHARDS];
/// How many there are in all shards.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// Where the next look at another file begins.
static HAND: AtomicU32 = AtomicU32::new(0);

impl Shard {
    fn of(file: &Identity) -> &'static Shard {
        // The upper bits are the well mixed ones.
        &KEPT[(file.hash() >> 32) as usize % SHARDS]
    }

    fn keep(&self, kept: Kept) {
        self.kept.lock().push(kept);
        self.count.fetch_add(1, Ordering::Relaxed);
        COUNT.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes out the pin of `file` with `status` that was kept last.
    fn take(&self, file: &Identity, status: StatusFlags) -> Option<Kept> {
        if self.is_empty() {
            return None;
        }
        let mut kept = self.kept.lock();
        let index = kept.iter().rposition(|one| one.file == *file && one.status == status)?;
        let taken = kept.swap_remove(index);
        drop(kept);
        self.note_loss(1);
        Some(taken)
    }

    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn note_loss(&self, lost: usize) {
        self.count.fetch_sub(lost as u32, Ordering::Relaxed);
        COUNT.fetch_sub(lost as u32, Ordering::Relaxed);
    }

    /// Closes the pins of `file`, or of all files, as far as they are not locked.
    fn sweep(&self, file: Option<&Identity>) {
        if self.is_empty() {
            return;
        }
        let mut kept = self.kept.lock();
        let before = kept.len();
        let mut index = 0;
        while let Some(one) = kept.get(index) {
            if file.is_some_and(|file| one.file != *file) {
                index += 1;
            } else if !one.file.is_behind(one.pin.raw()) {
                // Not ours any more: the program has closed it.
                let _ = kept.swap_remove(index).pin.into_raw();
            } else if fd::is_locked(one.pin.raw()) {
                if file.is_some() {
                    // So are the others.
                    break;
                }
                index += 1;
            } else {
                kept.swap_remove(index);
            }
        }
        let lost = before - kept.len();
        drop(kept);
        self.note_loss(lost);
    }

    /// A file that has kept pins, and the fd of one of them, by chance.
    fn pick(&self, chance: usize) -> Option<(Identity, i32)> {
        let kept = self.kept.lock();
        let one = kept.get(chance % kept.len().max(1))?;
        Some((one.file, one.pin.raw()))
    }
}

/// A pin that is let go with care, unless it is taken out.
#[derive(Debug)]
pub struct Pin(Option<OwnedFd>);

impl Pin {
    /// Takes care of a duplicate.
    pub fn new(pin: OwnedFd) -> Pin {
        Pin(Some(pin))
    }

    /// The fd; -1 once it is taken out.
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

/// The file that a new pin of the program's `fd` holds; `before`: what the fd meant a
/// moment ago. The fd may mean another one by now (dup2), so the pin tells; unless the program
/// has closed that, or put a file of its own there, which clears the flag: then only the fd is
/// left to ask.
pub fn look(pin: i32, fd: i32, before: Option<Identity>) -> Option<FileInfo> {
    let is_ours = |info: &FileInfo| before == Some(info.identity) || fd::is_closed_on_exec(pin);
    FileInfo::of(pin).ok().filter(is_ours).or_else(|| FileInfo::of(fd).ok())
}

/// Whether `pin`, made of the program's `fd`, holds `file` still: the program may have closed
/// it, and put a file of its own there. The objects of the kernel have one inode, all of them; dup2
/// clears the flag.
pub fn is_intact(pin: i32, fd: i32, file: &Identity) -> bool {
    file.is_behind(pin) && (fd::is_closed_on_exec(pin) || fd::is_same_file(pin, fd) == Ok(true))
}

/// Lets go of a pin, at once or when it does no harm.
pub fn release(pin: OwnedFd) {
    if fd::is_locked(pin.raw()) {
        // One pin is enough to know when the lock of a file is gone, but none of them may be closed
        // before: they are kept, all of them.
        if let (Ok(file), Ok(status)) = (Identity::of(pin.raw()), fd::status_flags(pin.raw())) {
            Shard::of(&file).keep(Kept { pin, file, status });
        }
        return;
    }
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let file = Identity::of(pin.raw());
    drop(pin);
    if let Ok(file) = file {
        Shard::of(&file).sweep(Some(&file));
    }
    look_at_next();
}

/// Looks at one file that has kept pins, and closes them if it is not locked any more.
#[cold]
fn look_at_next() {
    let turn = HAND.fetch_add(1, Ordering::Relaxed) as usize;
    // Mixed, so that each pin of a shard has its turn whatever their fd.
    let chance = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let mut shards = (turn..turn + SHARDS).filter_map(|place| KEPT.get(place % SHARDS));
    let Some(shard) = shards.find(|shard| !shard.is_empty()) else { return };
    if let Some((file, fd)) = shard.pick(chance)
        // The fd may be another's by now: that does no harm, and `sweep` asks again.
        && !(file.is_behind(fd) && fd::is_locked(fd))
    {
        shard.sweep(Some(&file));
    }
}

/// A descriptor that holds the file behind `fd`: one that was kept, or a new one.
pub fn duplicate(fd: i32) -> Result<OwnedFd> {
    match reuse(fd) {
        Some(kept) => Ok(kept),
        None => fd::duplicate(fd),
    }
}

/// A kept pin that serves as well as a duplicate of `fd`, to be used again.
fn reuse(fd: i32) -> Option<OwnedFd> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let file = Identity::of(fd).ok()?;
    let shard = Shard::of(&file);
    if shard.is_empty() {
        return None;
    }
    // Workers only use positions: another open of the same file in the same mode will do.
    let status = fd::status_flags(fd).ok()?;
    for _ in 0..MAX_ATTEMPTS {
        let kept = shard.take(&file, status)?;
        match fd::status_flags(kept.pin.raw()) {
            Ok(now) if file.is_behind(kept.pin.raw()) => {
                if now == status {
                    return Some(kept.pin);
                }
                // The program has changed them (F_SETFL).
                shard.keep(Kept { status: now, ..kept });
            }
            // The program has closed our fd, and may have opened its own there.
            _ => {
                let _ = kept.pin.into_raw();
            }
        }
    }
    None
}

/// Closes the kept pins whose files are not locked any more.
#[cold]
pub fn sweep() {
    for shard in &KEPT {
        shard.sweep(None);
    }
}

/// A forked child has no locks of its parent's: it closes everything.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_after_fork() {
    for shard in &KEPT {
        // SAFETY: the caller's promise.
        unsafe { shard.kept.force_unlock() };
        let mut kept = shard.kept.lock();
        for one in kept.iter().filter(|one| one.file.is_behind(one.pin.raw())) {
            fd::close_inherited(one.pin.raw());
        }
        // Not `clear`: freeing memory is not for a fork handler.
        core::mem::forget(core::mem::take(&mut *kept));
        shard.count.store(0, Ordering::Relaxed);
    }
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

    fn file(name: &str) -> File {
        let path = std::env::temp_dir().join(format!("uaio-pins-{}-{name}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        std::fs::remove_file(&path).unwrap();
        file.unwrap()
    }

    fn pin(file: &File) -> OwnedFd {
        fd::duplicate(file.as_raw_fd()).unwrap()
    }

    /// Whether there is a pin of `file` at `fd`.
    fn is_open(fd: i32, file: &File) -> bool {
        Identity::of(file.as_raw_fd()).unwrap().is_behind(fd)
    }

    #[test]
    fn a_pin_is_kept_while_its_file_is_locked() {
        let file = file("kept");
        lock(&file, libc::F_WRLCK);
        let pinned = pin(&file);
        let fd = pinned.raw();
        release(pinned);
        assert!(fd::is_locked(file.as_raw_fd()), "the lock is still there");
        let again = reuse(file.as_raw_fd()).unwrap();
        assert_eq!(again.raw(), fd);
        release(again);
        lock(&file, libc::F_UNLCK);
        release(pin(&file));
        assert!(!is_open(fd, &file), "closed with the next one");
    }

    #[test]
    fn a_kept_pin_serves_its_own_file_in_its_own_mode() {
        let (file, other) = (file("mode"), file("other"));
        lock(&file, libc::F_WRLCK);
        let fd = pin(&file).into_raw();
        release(OwnedFd::from_raw(fd));
        assert_eq!(reuse(other.as_raw_fd()), None);
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let append = File::options().append(true).open(path).unwrap();
        assert_eq!(reuse(append.as_raw_fd()), None);
        // SAFETY: no pointer.
        let set = |flags: i32| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) };
        assert_eq!(set(libc::O_NONBLOCK), 0);
        assert_eq!(reuse(file.as_raw_fd()), None, "noted with other flags");
        assert_eq!(set(0), 0);
        let again = reuse(file.as_raw_fd()).unwrap();
        assert_eq!(again.raw(), fd);
        release(again);
        lock(&file, libc::F_UNLCK);
        sweep();
        assert!(!is_open(fd, &file));
    }

    #[test]
    fn pins_of_a_file_without_requests_go_with_those_of_others() {
        let (files, other) = ([file("a"), file("b"), file("c")], file("d"));
        let fds = files.each_ref().map(|file| {
            lock(file, libc::F_WRLCK);
            let fd = pin(file).into_raw();
            release(OwnedFd::from_raw(fd));
            fd
        });
        release(pin(&other));
        assert!(files.iter().zip(fds).all(|(file, fd)| is_open(fd, file)));
        for file in &files {
            lock(file, libc::F_UNLCK);
        }
        let is_gone = || !files.iter().zip(fds).any(|(file, fd)| is_open(fd, file));
        // Other tests keep pins meanwhile, and have their turns.
        let gone = (0..10_000).any(|_| {
            release(pin(&other));
            is_gone()
        });
        assert!(gone);
    }

    #[test]
    fn pins_are_taken_and_kept_by_many_threads() {
        let file = file("threads");
        lock(&file, libc::F_WRLCK);
        let work = || {
            for _ in 0..500 {
                let fd = file.as_raw_fd();
                release(reuse(fd).unwrap_or_else(|| pin(&file)));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
        assert!(fd::is_locked(file.as_raw_fd()), "nobody has closed one");
        let identity = Identity::of(file.as_raw_fd()).unwrap();
        let kept =
            Shard::of(&identity).kept.lock().iter().filter(|one| one.file == identity).count();
        assert!((1..=4).contains(&kept), "{kept}: as many as were out at a time");
        lock(&file, libc::F_UNLCK);
        sweep();
    }
}
