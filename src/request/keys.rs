//! From which iocbs the requests of a slab were made: io_cancel asks for the oldest of one.
//!
//! A hash table, with at least as many buckets as there have been requests at a time, chained
//! through the places of the requests, the oldest first: so no call walks over all requests. It
//! grows by halves of chains, which keeps their order.
//!
//! *Locks*: everything here is touched under the slab's lock. The atomics are for memory that
//! starts as zeros and is shared.

use bytemuck::Zeroable;

use crate::memory::chunked::Chunked;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use crate::sys::errno::Result;

/// Buckets to begin with.
const FIRST: u32 = 32;

/// That of the request at the same index. Links are indices + 1; 0 is none.
#[derive(Debug, Default, Zeroable)]
struct Key {
    /// Address of the iocb; 0: there is no request.
    iocb: AtomicUsize,
    prev: AtomicU32,
    next: AtomicU32,
}

/// The oldest and the youngest on a chain.
#[derive(Debug, Default, Zeroable)]
struct Bucket {
    head: AtomicU32,
    tail: AtomicU32,
}

/// See the module. All-zero memory is an empty table.
#[derive(Debug, Default, Zeroable)]
pub(super) struct Keys {
    keys: Chunked<Key>,
    buckets: Chunked<Bucket>,
    /// How many buckets there are; a power of two, or 0.
    count: AtomicU32,
}

fn load(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed)
}

fn store(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::Relaxed);
}

impl Keys {
    /// Makes a place for the request at `index`, the next one. ENOMEM: there is none.
    pub(super) fn reserve(&self, index: u32) -> Result<()> {
        self.keys.reserve(index)?;
        let count = load(&self.count);
        if index < count {
            return Ok(());
        }
        let more = if count == 0 { FIRST } else { 2 * count };
        // No more than two chunks.
        self.buckets.reserve(count)?;
        self.buckets.reserve(more - 1)?;
        store(&self.count, more);
        for bucket in 0..count {
            self.divide(bucket);
        }
        Ok(())
    }

    /// Spreads a chain over the buckets that there are now.
    fn divide(&self, bucket: u32) {
        let Some(bucket) = self.buckets.get(bucket) else { return };
        let mut next = load(&bucket.head);
        store(&bucket.head, 0);
        store(&bucket.tail, 0);
        while let Some(index) = next.checked_sub(1)
            && let Some(key) = self.keys.get(index)
        {
            next = load(&key.next);
            self.append(index, key);
        }
    }

    fn bucket(&self, iocb: usize) -> Option<&Bucket> {
        // The upper bits are the well mixed ones.
        let hash = (iocb as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.buckets.get(hash as u32 & load(&self.count).wrapping_sub(1))
    }

    fn append(&self, index: u32, key: &Key) {
        let Some(bucket) = self.bucket(key.iocb.load(Ordering::Relaxed)) else { return };
        let last = load(&bucket.tail);
        store(&key.prev, last);
        store(&key.next, 0);
        match last.checked_sub(1).and_then(|last| self.keys.get(last)) {
            Some(last) => store(&last.next, index + 1),
            None => store(&bucket.head, index + 1),
        }
        store(&bucket.tail, index + 1);
    }

    /// The request at `index`, for which there is a place, is made from `iocb`.
    pub(super) fn insert(&self, index: u32, iocb: usize) {
        if let Some(key) = self.keys.get(index) {
            key.iocb.store(iocb, Ordering::Relaxed);
            self.append(index, key);
        }
    }

    /// The request at `index` ends.
    pub(super) fn remove(&self, index: u32) {
        let Some(key) = self.keys.get(index) else { return };
        let Some(bucket) = self.bucket(key.iocb.swap(0, Ordering::Relaxed)) else { return };
        let (prev, next) = (load(&key.prev), load(&key.next));
        match prev.checked_sub(1).and_then(|prev| self.keys.get(prev)) {
            Some(prev) => store(&prev.next, next),
            None => store(&bucket.head, next),
        }
        match next.checked_sub(1).and_then(|next| self.keys.get(next)) {
            Some(next) => store(&next.prev, prev),
            None => store(&bucket.tail, prev),
        }
    }

    /// Whether there is a request at `index`.
    pub(super) fn is_used(&self, index: u32) -> bool {
        self.keys.get(index).is_some_and(|key| key.iocb.load(Ordering::Relaxed) != 0)
    }

    /// The oldest request made from `iocb` that is the right one.
    pub(super) fn oldest(&self, iocb: usize, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut next = load(&self.bucket(iocb)?.head);
        while let Some(index) = next.checked_sub(1) {
            #[cfg(test)]
            super::list::STEPS.with(|steps| steps.set(steps.get() + 1));
            let key = self.keys.get(index)?;
            if key.iocb.load(Ordering::Relaxed) == iocb && is_it(index) {
                return Some(index);
            }
            next = load(&key.next);
        }
        None
    }

    /// Gives the memory back.
    ///
    /// # Safety
    /// No other thread uses the table.
    pub(super) unsafe fn clear(&self) {
        store(&self.count, 0);
        // SAFETY: the caller's promise.
        unsafe {
            self.keys.clear();
            self.buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::list::STEPS;

    fn insert(keys: &Keys, index: u32, iocb: usize) {
        keys.reserve(index).unwrap();
        keys.insert(index, iocb);
    }

    #[test]
    fn requests_of_one_iocb_keep_their_order_while_the_table_grows() {
        let keys = Keys::default();
        assert_eq!(keys.oldest(0x40, |_| true), None);
        for index in 0..1000 {
            insert(&keys, index, if index % 10 == 3 { 0x40 } else { 0x1000 + 64 * index as usize });
        }
        for index in (3..1000).step_by(10) {
            assert_eq!(keys.oldest(0x40, |_| true), Some(index));
            if index + 10 < 1000 {
                assert_eq!(keys.oldest(0x40, |other| other != index), Some(index + 10));
            }
            keys.remove(index);
            assert!(!keys.is_used(index));
        }
        assert_eq!(keys.oldest(0x40, |_| true), None);
        assert!(keys.is_used(4));
        // SAFETY: this thread alone has it.
        unsafe { keys.clear() };
    }

    #[test]
    fn looking_one_up_is_no_walk_over_all() {
        const MANY: u32 = 4000;
        let keys = Keys::default();
        let iocb = |index: u32| 0x7f00_0000_1000 + 64 * index as usize;
        (0..MANY).for_each(|index| insert(&keys, index, iocb(index)));
        let before = STEPS.with(core::cell::Cell::get);
        for index in (0..MANY).step_by(2).chain((0..MANY).rev().step_by(2)) {
            assert_eq!(keys.oldest(iocb(index), |_| true), Some(index));
            keys.remove(index);
        }
        let steps = STEPS.with(core::cell::Cell::get) - before;
        assert!(steps < 3 * MANY as usize, "{steps}");
        // SAFETY: this thread alone has it.
        unsafe { keys.clear() };
    }
}
