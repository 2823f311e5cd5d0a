//! What a context believes of descriptors, so that it does not have to ask each time.
//!
//! The program may close an fd, open it again, or change its flags at any moment. So a belief
//! decides only how an operation is attempted: the kernel looks the fd up itself, and what it
//! refuses is looked at anew. A belief that is out of date costs time, and is given up after a
//! while.
//!
//! *Orderings*: all Relaxed: a belief is one word, and nothing else follows from it.

use bytemuck::Zeroable;

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::sys::fd::StatusFlags;

/// How many descriptors are remembered.
const PLACES: usize = 16;
/// After so many uses of any of them one is asked about. A prime: descriptors that are used in turn
/// are all asked about.
const USES: u32 = 61;

/// What is believed of a descriptor: its status flags, and a bit that none of them has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief(u32);

impl Belief {
    const IS_REGULAR: u32 = 1 << 31;

    /// Of a descriptor with these status flags; `is_regular`: a regular file is behind it.
    pub fn new(status: StatusFlags, is_regular: bool) -> Belief {
        let kind = if is_regular { Belief::IS_REGULAR } else { 0 };
        Belief(status.bits() as u32 | kind)
    }

    /// The status flags.
    #[inline]
    pub fn status(self) -> StatusFlags {
        StatusFlags::from_bits((self.0 & !Belief::IS_REGULAR) as i32)
    }

    /// Whether its iocbs go to an engine that takes them as they are, when `nr` are submitted
    /// together. Buffered transfers do if there are several: the kernel does them in one call. A
    /// single one is cheaper without the engine; and streams are ours, because they may block.
    #[inline]
    pub fn goes_as_it_is(self, nr: usize) -> bool {
        self.status().is_direct() || (nr > 1 && self.0 & Belief::IS_REGULAR != 0)
    }
}

/// The beliefs of a context. All-zero memory has none.
#[derive(Debug, Default, Zeroable)]
pub struct Beliefs {
    /// Descriptor + 1, and the belief; 0 for none.
    places: [AtomicU64; PLACES],
    uses: AtomicU32,
}

impl Beliefs {
    fn place(&self, fd: i32) -> &AtomicU64 {
        &self.places[fd as usize % PLACES]
    }

    /// What was noted of a descriptor; `None`: it is time to ask.
    #[inline]
    pub fn of(&self, fd: i32) -> Option<Belief> {
        let uses = self.uses.load(Ordering::Relaxed).wrapping_add(1);
        self.uses.store(uses, Ordering::Relaxed);
        let word = self.place(fd).load(Ordering::Relaxed);
        let is_known = (word >> 32) as u32 == (fd as u32).wrapping_add(1) && word != 0;
        if is_known && uses.is_multiple_of(USES) {
            // The same call may come back before it has asked.
            self.place(fd).store(0, Ordering::Relaxed);
            return None;
        }
        is_known.then_some(Belief(word as u32))
    }

    /// Notes what was asked for.
    #[inline]
    pub fn note(&self, fd: i32, belief: Belief) {
        let word = u64::from((fd as u32).wrapping_add(1)) << 32 | u64::from(belief.0);
        self.place(fd).store(word, Ordering::Relaxed);
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
        let belief = Belief::new(fd::status_flags(file.raw()).unwrap(), true);
        let beliefs = Beliefs::default();
        assert!(beliefs.of(file.raw()).is_none() && beliefs.of(-1).is_none());
        beliefs.note(file.raw(), belief);
        let is_believed = |_: &u32| beliefs.of(file.raw()) == Some(belief);
        let believed = (0..2 * USES).take_while(is_believed).count();
        assert!(believed > 0 && (believed as u32) < USES, "sometimes it is asked");
        assert!(beliefs.of(file.raw()).is_none(), "until that has been done");
        beliefs.note(file.raw(), belief);
        assert_eq!(beliefs.of(file.raw()), Some(belief));
        assert!(beliefs.of(other.raw()).is_none());
        // The same place.
        beliefs.note(file.raw() + PLACES as i32, belief);
        assert!(beliefs.of(file.raw()).is_none());
        beliefs.note(file.raw(), belief);
        beliefs.clear();
        assert!(beliefs.of(file.raw()).is_none());
    }

    #[test]
    fn several_transfers_of_a_regular_file_go_as_they_are() {
        let plain = StatusFlags::from_bits(libc::O_RDWR);
        let direct = StatusFlags::from_bits(libc::O_RDWR | libc::O_DIRECT);
        let goes = |status, is_regular, nr| Belief::new(status, is_regular).goes_as_it_is(nr);
        assert!(goes(direct, false, 1) && goes(direct, true, 1));
        assert!(goes(plain, true, 2) && !goes(plain, true, 1) && !goes(plain, false, 2));
        assert_eq!(Belief::new(direct, true).status(), direct);
    }
}
