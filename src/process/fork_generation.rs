//! Whether this process is the one that made the contexts, or a forked child of it.

use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::sys::errno::Result;
use crate::sys::fd;
use crate::sys::mmap::{self, Protection};

const PAGE: usize = 4096;

/// A word that a forked child finds empty; null before the first context.
static IS_ORIGINAL: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());

/// A forked child has begun to make contexts of its own.
static HAS_PARENT: AtomicBool = AtomicBool::new(false);

/// The process that began.
static PROCESS: AtomicU32 = AtomicU32::new(0);

fn word() -> Option<&'static AtomicU32> {
    // Acquire: pairs with the Release in `begin`.
    // SAFETY: null, or a page that stays mapped for ever.
    unsafe { IS_ORIGINAL.load(Ordering::Acquire).as_ref() }
}

/// This process makes contexts. Callers serialise themselves.
pub fn begin() -> Result<()> {
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    if let Some(word) = word() {
        if word.swap(1, Ordering::Relaxed) == 0 {
            HAS_PARENT.store(true, Ordering::Relaxed);
        }
        return Ok(());
    }
    let page = mmap::anonymous(PAGE, Protection::ReadWrite)?;
    // Where the kernel does not know it (before 4.14), `forked` does the work.
    let _ = mmap::wipe_on_fork(page, PAGE);
    let word = core::ptr::with_exposed_provenance_mut::<AtomicU32>(page);
    // SAFETY: a fresh page of zeros.
    unsafe { (*word).store(1, Ordering::Relaxed) };
    // Release: pairs with the Acquire in `word`.
    IS_ORIGINAL.store(word, Ordering::Release);
    Ok(())
}

/// This process is a forked child: what a fork handler knows.
pub fn forked() {
    if let Some(word) = word() {
        word.store(0, Ordering::Relaxed);
    }
}

/// Whether the contexts of this process's memory belong to a process that it was forked from.
#[inline]
pub fn is_forked() -> bool {
    word().is_some_and(|word| word.load(Ordering::Relaxed) == 0)
}

/// Whether this process's memory holds rings of a process that it was forked from.
pub fn has_parent() -> bool {
    is_forked() || HAS_PARENT.load(Ordering::Relaxed)
}

/// Whether the calling process only shares its memory with the one that began: clone(CLONE_VM).
pub fn is_other_process() -> bool {
    PROCESS.load(Ordering::Relaxed) != std::process::id()
}

/// Whether the calling process uses the same descriptors as the one that began: clone(CLONE_FILES).
pub fn shares_descriptors() -> bool {
    fd::is_shared_with(PROCESS.load(Ordering::Relaxed))
}
