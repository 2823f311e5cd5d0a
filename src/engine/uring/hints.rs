//! What the engine has learned from attempts that failed because they would have blocked.

use bytemuck::Zeroable;

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::sys::file_info::Identity;

/// How many files are remembered.
const MAX_FILES: usize = 4;

/// See the module. All-zero memory has learned nothing.
#[derive(Debug, Zeroable)]
pub struct WriteHints {
    /// Files with an attempt that failed, as hashes.
    known: [AtomicU64; MAX_FILES],
    next_known: AtomicU32,
    /// Descriptor + 1 of the last write that extended its file; 0 for none.
    growing: AtomicU32,
    /// Writes in a row that cached pages were not the reason for.
    futile: AtomicU32,
    /// Attempts that will hold their files.
    holding: AtomicU32,
}

/// How many attempts hold their files when a context begins.
const HOLDING_AT_FIRST: u32 = 16;
/// How many do after one that has failed.
const HOLDING_AFTER_FAILURE: u32 = 256;

impl WriteHints {
    /// A context begins.
    pub fn clear(&self) {
        for known in &self.known {
            known.store(0, Ordering::Relaxed);
        }
        self.futile.store(0, Ordering::Relaxed);
        self.growing.store(0, Ordering::Relaxed);
        self.holding.store(HOLDING_AT_FIRST, Ordering::Relaxed);
    }

    /// Whether an attempt beside other requests should hold its file, because it may fail, and that
    /// may be told late: it does not while attempts do not fail.
    #[inline]
    pub fn should_hold(&self) -> bool {
        let left = self.holding.load(Ordering::Relaxed);
        // Two threads may count once.
        self.holding.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// An attempt has failed.
    pub fn note_failure(&self) {
        self.holding.store(HOLDING_AFTER_FAILURE, Ordering::Relaxed);
    }

    /// Whether this is the first attempt on a file that has failed.
    ///
    /// ext4 and others refuse the first write after the inode was loaded, until one that may block
    /// has gone through (S_NOSEC). If it happens again, it is in the nature of the file.
    pub fn is_first_failure(&self, file: Identity) -> bool {
        let hash = file.hash();
        if self.known.iter().any(|known| known.load(Ordering::Relaxed) == hash) {
            return false;
        }
        let next = self.next_known.fetch_add(1, Ordering::Relaxed) as usize;
        if let Some(place) = self.known.get(next % MAX_FILES) {
            place.store(hash, Ordering::Relaxed);
        }
        true
    }

    /// Whether the last write to extend a file went to this descriptor: then a look at the size is
    /// cheaper than an attempt.
    #[inline]
    pub fn is_growing(&self, fd: i32) -> bool {
        self.growing.load(Ordering::Relaxed) == fd as u32 + 1
    }

    /// A write to this descriptor has extended the file, or has not.
    pub fn note_growth(&self, fd: i32, is_growing: bool) {
        self.growing.store(if is_growing { fd as u32 + 1 } else { 0 }, Ordering::Relaxed);
    }

    /// Whether the cached pages of a write that has failed should be dropped: they are the most
    /// usual reason, unless they have not been for long.
    pub fn may_be_cached(&self) -> bool {
        const FUTILE_BEFORE_PAUSE: u32 = 8;
        const RETRY_AFTER: u32 = 16;
        let futile = self.futile.fetch_add(1, Ordering::Relaxed);
        futile < FUTILE_BEFORE_PAUSE || futile.is_multiple_of(RETRY_AFTER)
    }

    /// They were the reason.
    pub fn was_cached(&self) {
        self.futile.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_hold_their_files_after_one_that_has_failed() {
        let hints = WriteHints::zeroed();
        assert!(!hints.should_hold());
        hints.clear();
        assert_eq!((0..100).filter(|_| hints.should_hold()).count(), HOLDING_AT_FIRST as usize);
        hints.note_failure();
        let count = (0..1000).filter(|_| hints.should_hold()).count();
        assert_eq!(count, HOLDING_AFTER_FAILURE as usize);
    }
}
