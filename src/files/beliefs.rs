//! What a context believes of descriptors, so that it does not have to ask each time.
//!
//! The program may close a number, open it again, or change its flags at any moment. So a belief decides
//! only how an operation is attempted: the kernel looks the number up itself, and what it refuses is
//! looked at anew. A belief that is out of date costs time, and is given up after a while.
//!
//! *Orderings*: all Relaxed: a belief is one word, and nothing else follows from it.

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::sys::fd::StatusFlags;

/// How many descriptors are remembered.
const PLACES: usize = 16;
/// After so many uses of any of them one is asked about.
const USES: u32 = 64;

/// The beliefs of a context. All-zero memory has none.
#[derive(Debug, Default)]
pub struct Beliefs {
    /// Descriptor + 1, and its status flags; 0 for none.
    places: [AtomicU64; PLACES],
    uses: AtomicU32,
}

impl Beliefs {
    fn place(&self, number: i32) -> &AtomicU64 {
        &self.places[number as usize % PLACES]
    }

    /// The status flags that a descriptor had when they were asked for; `None`: it is time to ask.
    #[inline]
    pub fn status(&self, number: i32) -> Option<StatusFlags> {
        let uses = self.uses.load(Ordering::Relaxed).wrapping_add(1);
        self.uses.store(uses, Ordering::Relaxed);
        let word = self.place(number).load(Ordering::Relaxed);
        let is_known = (word >> 32) as u32 == (number as u32).wrapping_add(1) && word != 0;
        (is_known && !uses.is_multiple_of(USES)).then(|| StatusFlags::from_bits(word as u32 as i32))
    }

    /// Notes what was asked for.
    #[inline]
    pub fn note(&self, number: i32, status: StatusFlags) {
        let word =
            u64::from((number as u32).wrapping_add(1)) << 32 | u64::from(status.bits() as u32);
        self.place(number).store(word, Ordering::Relaxed);
    }

    /// Forgets everything: a context begins.
    pub fn clear(&self) {
        for place in &self.places {
            place.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;

    #[test]
    fn what_was_noted_is_believed_for_a_while() {
        let (file, other) = (fd::memory_file().unwrap(), fd::eventfd().unwrap());
        let status = fd::status_flags(file.raw()).unwrap();
        let beliefs = Beliefs::default();
        assert!(beliefs.status(file.raw()).is_none() && beliefs.status(-1).is_none());
        beliefs.note(file.raw(), status);
        let believed = (0..2 * USES).filter(|_| beliefs.status(file.raw()).is_some()).count();
        assert_eq!(believed as u32, 2 * USES - 2, "sometimes it is asked");
        assert!(beliefs.status(other.raw()).is_none());
        // The same place.
        beliefs.note(file.raw() + PLACES as i32, status);
        assert!(beliefs.status(file.raw()).is_none());
        beliefs.note(file.raw(), status);
        beliefs.clear();
        assert!(beliefs.status(file.raw()).is_none());
    }
}
