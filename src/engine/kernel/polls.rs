//! The iocbs that polls were submitted with.
//!
//! The kernel cancels a poll by the address of its iocb, and io_destroy has to cancel those that
//! are pending. Which ones these are nobody notes: an address is remembered from its first poll on
//! for as long as the context lives. Programs use the same iocbs again and again; those that use
//! more of them than there is room for, or give their memory away, leave it to the kernel's
//! io_destroy to find the rest.
//!
//! *Orderings*: all Relaxed. Whoever cancels a poll has been told of it by its submitter, and
//! io_destroy comes when no call is inside. That there are some, sleepers see by the fences of
//! `wake_kernel_waiters` and `join`.

use bytemuck::Zeroable;

use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// How many are remembered.
const ROOM: usize = 64;
/// How many places an address may be at.
const PROBES: usize = 8;

/// See the module. All-zero memory remembers none.
#[derive(Debug, Zeroable)]
pub struct Polled {
    addresses: [AtomicUsize; ROOM],
    /// There may be some.
    is_used: AtomicBool,
}

impl Polled {
    /// A context begins.
    pub fn clear(&self) {
        if self.is_used.swap(false, Ordering::Relaxed) {
            self.addresses.iter().for_each(|place| place.store(0, Ordering::Relaxed));
        }
    }

    /// Whether there may be polls in the kernel.
    #[inline]
    pub fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// There will be.
    pub fn begin(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Notes that the iocb at an address is about to be submitted.
    #[inline]
    pub fn note(&self, iocb: usize) {
        // Iocbs in an array are 64 bytes apart.
        let first = iocb / 64;
        for place in (first..first + PROBES).filter_map(|at| self.addresses.get(at % ROOM)) {
            let mut there = place.load(Ordering::Relaxed);
            if there == 0 {
                let put = place.compare_exchange(0, iocb, Ordering::Relaxed, Ordering::Relaxed);
                there = put.err().unwrap_or(iocb);
            }
            if there == iocb {
                return;
            }
        }
    }

    /// Those that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.addresses.iter().map(|place| place.load(Ordering::Relaxed)).filter(|&iocb| iocb != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polled() -> Polled {
        Polled { addresses: [const { AtomicUsize::new(0) }; ROOM], is_used: AtomicBool::new(false) }
    }

    #[test]
    fn an_array_of_iocbs_has_room() {
        let polled = polled();
        let iocbs: Vec<_> = (1..=ROOM).map(|index| index * 64).collect();
        assert!(!polled.is_used());
        polled.begin();
        for _ in 0..2 {
            iocbs.iter().for_each(|&iocb| polled.note(iocb));
        }
        let mut found: Vec<_> = polled.iter().collect();
        found.sort_unstable();
        assert_eq!(found, iocbs);
        assert!(polled.is_used());
        polled.clear();
        assert!(!polled.is_used());
        assert_eq!(polled.iter().count(), 0);
    }

    #[test]
    fn too_many_are_forgotten() {
        let polled = polled();
        (1..=2 * ROOM).for_each(|index| polled.note(index * 64));
        assert_eq!(polled.iter().count(), ROOM);
    }

    #[test]
    fn one_place_is_for_several() {
        let polled = polled();
        let iocbs: Vec<_> = (1..=PROBES).map(|index| index * 64 * ROOM).collect();
        iocbs.iter().for_each(|&iocb| polled.note(iocb));
        assert_eq!(polled.iter().collect::<Vec<_>>(), iocbs);
    }
}
