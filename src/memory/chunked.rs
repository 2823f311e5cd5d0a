//! Arrays that grow and never move: an element keeps its address, and its memory is mapped as long
//! as the array lives. Elements start as all-zero bytes.
//!
//! Chunk k holds 32·2^k elements, so that a small array costs a page or two and the table of chunks
//! is 16 pointers.

use bytemuck::Zeroable;

use crate::sync::{AtomicPtr, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::mmap;

const FIRST: u32 = 32;
const CHUNKS: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Chunked<T: Zeroable> {
    chunks: [AtomicPtr<T>; CHUNKS],
}

// SAFETY: null pointers.
unsafe impl<T: Zeroable> Zeroable for Chunked<T> {}

impl<T: Zeroable> Default for Chunked<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Zeroable> Chunked<T> {
    /// The largest number of elements.
    pub const MAX: u32 = FIRST * ((1 << CHUNKS) - 1);

    /// An empty array.
    pub const fn new() -> Self {
        Chunked { chunks: [const { AtomicPtr::new(core::ptr::null_mut()) }; CHUNKS] }
    }

    fn place(index: u32) -> (usize, usize) {
        let shifted = index.saturating_add(FIRST);
        let chunk = (shifted / FIRST).ilog2();
        (chunk as usize, (shifted - (FIRST << chunk)) as usize)
    }

    fn chunk_bytes(chunk: usize) -> usize {
        ((FIRST as usize) << chunk) * size_of::<T>()
    }

    /// The element, if its chunk is there.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (chunk, offset) = Self::place(index);
        // Acquire: pairs with the Release in `reserve`.
        let base = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if base.is_null() {
            return None;
        }
        // SAFETY: the chunk has FIRST << chunk elements, zeroed at birth as `Zeroable` allows, and
        // stays mapped until `clear`, which takes the array exclusively by its contract.
        Some(unsafe { &*base.add(offset) })
    }

    /// Makes sure that the element `index` is there. Callers serialise themselves.
    pub fn reserve(&self, index: u32) -> Result<&T> {
        let (chunk, offset) = Self::place(index);
        let slot = self.chunks.get(chunk).ok_or(Errno::NOMEM)?;
        let mut base = slot.load(Ordering::Relaxed);
        if base.is_null() {
            base = core::ptr::with_exposed_provenance_mut(mmap::anonymous_lazy(
                Self::chunk_bytes(chunk),
            )?);
            // Release: pairs with the Acquire in `get`.
            slot.store(base, Ordering::Release);
        }
        // SAFETY: as in `get`.
        Ok(unsafe { &*base.add(offset) })
    }

    /// Unmaps everything.
    ///
    /// # Safety
    /// No reference to an element may be in use, and no other thread may be inside this array.
    pub unsafe fn clear(&self) {
        for (chunk, slot) in self.chunks.iter().enumerate() {
            let base = slot.swap(core::ptr::null_mut(), Ordering::Relaxed);
            if !base.is_null() {
                // SAFETY: the range was mapped by `reserve`, and nobody uses it, says the caller.
                let _ = unsafe { mmap::unmap(base.addr(), Self::chunk_bytes(chunk)) };
            }
        }
    }

    /// Forgets everything without unmapping.
    pub fn forget(&self) {
        for slot in &self.chunks {
            slot.store(core::ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// Calls `visit` for every element that is mapped, in order of index.
    pub fn for_each(&self, mut visit: impl FnMut(u32, &T)) {
        let mut first = 0;
        for chunk in 0..CHUNKS {
            let len = FIRST << chunk;
            if self.get(first).is_some() {
                for index in first..first + len {
                    if let Some(element) = self.get(index) {
                        visit(index, element);
                    }
                }
            }
            first += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_a_place_of_its_own() {
        let mut next = (0, 0);
        for index in 0..100_000 {
            let place = Chunked::<Word>::place(index);
            assert_eq!(place, next, "{index}");
            next = if place.1 + 1 == 32 << place.0 {
                (place.0 + 1, 0)
            } else {
                (place.0, place.1 + 1)
            };
        }
    }

    #[derive(Zeroable)]
    struct Word(crate::sync::AtomicU32);

    #[test]
    fn elements_start_as_zero_and_keep_their_value() {
        let array = Chunked::<Word>::new();
        assert!(array.get(100).is_none());
        for index in [0, 31, 32, 1000] {
            let element = array.reserve(index).unwrap();
            assert_eq!(element.0.swap(index + 1, Ordering::Relaxed), 0);
        }
        assert_eq!(array.get(1000).unwrap().0.load(Ordering::Relaxed), 1001);
        // SAFETY: no reference is left.
        unsafe { array.clear() };
        assert!(array.get(0).is_none());
    }
}
