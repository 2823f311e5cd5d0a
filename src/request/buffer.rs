//! The memory of a transfer: one range, or a private copy of the program's `iovec` array.

use libc::iovec;

use crate::memory::user::{Pages, is_user_range};
use crate::sys::errno::{Errno, Result};

/// The most bytes that one call moves (MAX_RW_COUNT, <linux/fs.h>).
const MAX_RW_COUNT: u64 = 0x7fff_f000;
/// The most elements of an array (UIO_MAXIOV).
const MAX_ELEMENTS: usize = 1024;
/// Arrays up to this length need no allocation.
const INLINE: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Buffer {
    few: [iovec; INLINE],
    many: Option<Box<[iovec]>>,
    count: usize,
    len: u64,
}

// SAFETY: the pointers are addresses of the program, which only the kernel follows.
unsafe impl Send for Buffer {}

const NOTHING: iovec = iovec { iov_base: core::ptr::null_mut(), iov_len: 0 };

impl Buffer {
    /// lib/iov_iter.c, import_ubuf: the length is clamped, then the range checked.
    #[inline(always)]
    pub fn one(buf: u64, nbytes: u64) -> Result<Buffer> {
        let len = nbytes.min(MAX_RW_COUNT);
        if !is_user_range(buf, len) {
            return Err(Errno::FAULT);
        }
        let mut few = [NOTHING; INLINE];
        few[0] = iovec {
            iov_base: core::ptr::with_exposed_provenance_mut(buf as usize),
            iov_len: len as usize,
        };
        Ok(Buffer { few, many: None, count: 1, len })
    }

    /// lib/iov_iter.c, __import_iovec: the count is 32 bits wide; the array lies below the end of
    /// user addresses; it is copied element by element, each with a length that is not negative;
    /// then each range is checked, and the total clamped.
    pub fn many(array: u64, nr: u64, pages: &mut Pages) -> Result<Buffer> {
        let count = nr as u32 as usize;
        if count > MAX_ELEMENTS {
            return Err(Errno::INVAL);
        }
        let mut buffer = Buffer { few: [NOTHING; INLINE], many: None, count, len: 0 };
        let list = match count > INLINE {
            true => {
                let mut many = Vec::new();
                many.try_reserve_exact(count).map_err(|_| Errno::NOMEM)?;
                many.resize(count, NOTHING);
                &mut **buffer.many.insert(many.into_boxed_slice())
            }
            false => buffer.few.as_mut_slice(),
        };
        if count > 0 && !is_user_range(array, (count * size_of::<iovec>()) as u64) {
            return Err(Errno::FAULT);
        }
        for (index, element) in list.iter_mut().take(count).enumerate() {
            let addr = (array as usize).wrapping_add(index * size_of::<iovec>());
            // SAFETY: an address and a length.
            *element = unsafe { pages.read(addr) }?;
            if element.iov_len > isize::MAX as usize {
                return Err(Errno::INVAL);
            }
        }
        // __import_iovec_ubuf: one element is clamped before its range is checked.
        if let [only] = list.get_mut(..count).unwrap_or_default() {
            only.iov_len = only.iov_len.min(MAX_RW_COUNT as usize);
        }
        let mut total = 0;
        for element in list.iter_mut().take(count) {
            if !is_user_range(element.iov_base.addr() as u64, element.iov_len as u64) {
                return Err(Errno::FAULT);
            }
            let len = (element.iov_len as u64).min(MAX_RW_COUNT - total);
            element.iov_len = len as usize;
            total += len;
        }
        buffer.len = total;
        Ok(buffer)
    }

    /// Total bytes.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing to move.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements.
    #[inline]
    pub fn as_slice(&self) -> &[iovec] {
        let list = self.many.as_deref().unwrap_or(&self.few);
        list.get(..self.count).unwrap_or_default()
    }

    /// What is left after `done` bytes.
    pub fn after(&self, done: u64) -> Vec<iovec> {
        let mut skip = done as usize;
        let mut rest = Vec::with_capacity(self.count);
        for element in self.as_slice() {
            let cut = skip.min(element.iov_len);
            skip -= cut;
            if cut < element.iov_len {
                rest.push(iovec {
                    iov_base: element.iov_base.wrapping_byte_add(cut),
                    iov_len: element.iov_len - cut,
                });
            }
        }
        rest
    }

    /// The first `len` bytes.
    pub fn first(&self, len: usize) -> Vec<iovec> {
        let mut left = len;
        let mut part = Vec::with_capacity(self.count);
        for element in self.as_slice() {
            let take = left.min(element.iov_len);
            left -= take;
            if take > 0 {
                part.push(iovec { iov_base: element.iov_base, iov_len: take });
            }
        }
        part
    }

    /// Whether addresses and lengths are multiples of `unit` bytes.
    pub fn is_aligned(&self, unit: usize) -> bool {
        self.as_slice()
            .iter()
            .all(|element| (element.iov_base.addr() | element.iov_len).is_multiple_of(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mmap::{self, Protection};

    const PAGE: usize = 4096;

    #[test]
    fn the_rest_of_a_buffer_starts_where_the_last_call_ended() {
        let bytes = [0u8; 100];
        let at = |offset: usize, len| iovec {
            iov_base: bytes.as_ptr().wrapping_add(offset).cast_mut().cast(),
            iov_len: len,
        };
        let list = [at(0, 10), at(20, 0), at(30, 10)];
        let buffer = Buffer::many(list.as_ptr().addr() as u64, 3, &mut Pages::new()).unwrap();
        let rest = |done| -> Vec<(usize, usize)> {
            let base = bytes.as_ptr().addr();
            buffer.after(done).iter().map(|e| (e.iov_base.addr() - base, e.iov_len)).collect()
        };
        assert_eq!(rest(0), [(0, 10), (30, 10)]);
        assert_eq!(rest(4), [(4, 6), (30, 10)]);
        assert_eq!(rest(10), [(30, 10)]);
        assert_eq!(rest(15), [(35, 5)]);
        assert_eq!(rest(20), []);
        let first = |len| -> Vec<(usize, usize)> {
            let base = bytes.as_ptr().addr();
            buffer.first(len).iter().map(|e| (e.iov_base.addr() - base, e.iov_len)).collect()
        };
        assert_eq!(first(0), []);
        assert_eq!(first(10), [(0, 10)]);
        assert_eq!(first(15), [(0, 10), (30, 5)]);
        assert_eq!(first(99), [(0, 10), (30, 10)]);
    }

    #[test]
    fn a_negative_length_is_found_before_what_follows_it() {
        let none = mmap::anonymous(2 * PAGE, Protection::ReadWrite).unwrap();
        mmap::protect(none + PAGE, PAGE, Protection::None).unwrap();
        let many =
            |array: usize, nr| Buffer::many(array as u64, nr, &mut Pages::new()).unwrap_err();
        let last = none + PAGE - size_of::<iovec>();
        let put = |iov_len| {
            let element = iovec { iov_base: core::ptr::null_mut(), iov_len };
            // SAFETY: the last 16 bytes of a page of our own.
            unsafe { core::ptr::with_exposed_provenance_mut::<iovec>(last).write(element) };
        };
        put(usize::MAX);
        assert_eq!(many(last, 2), Errno::INVAL);
        assert_eq!(many(last, 1024), Errno::INVAL);
        put(1);
        assert_eq!(many(last, 2), Errno::FAULT);
        assert_eq!(many(last, 1025), Errno::INVAL, "the count comes first");
        assert_eq!(many(usize::MAX - 4096, 1024), Errno::FAULT);
    }

    #[test]
    fn lengths_are_clamped_to_what_one_call_moves() {
        assert_eq!(Buffer::one(4096, 1 << 40).unwrap().len(), MAX_RW_COUNT);
        assert_eq!(Buffer::one(1 << 63, 0).unwrap_err(), Errno::FAULT);
    }

    #[test]
    fn alignment_covers_addresses_and_lengths() {
        assert!(Buffer::one(4096, 512).unwrap().is_aligned(512));
        assert!(!Buffer::one(4097, 512).unwrap().is_aligned(512));
        assert!(!Buffer::one(4096, 100).unwrap().is_aligned(512));
    }
}
