//! Memory of the program that is known to be there without asking: its writable data, and its heap,
//! from the lowest address on that was asked about.
//!
//! Both are mapped as long as the process lives, but for what free(3) gives back at the end of the
//! heap, which is looked up each time. The kernel puts the heap some way behind the data and nothing
//! between them, so that what is there and lies between the data and the break belongs to the heap.
//!
//! divergence: a program that protects or unmaps a part of them, and then passes it, gets a signal where
//! the kernel says EFAULT.
//!
//! No system call is made: the program headers of the executable are in its memory, and libc knows the
//! break.

use core::ops::Range;
use core::slice;

use libc::{AT_PAGESZ, AT_PHDR, AT_PHNUM, Elf64_Phdr, PF_W, PT_GNU_RELRO, PT_LOAD, PT_PHDR};

use crate::sync::{AtomicUsize, Ordering};

/// The executable's writable data; an end of 0: nobody has looked.
static DATA_START: AtomicUsize = AtomicUsize::new(0);
static DATA_END: AtomicUsize = AtomicUsize::new(0);
/// From here to the break is heap.
static HEAP_START: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Whether all `len` bytes at `addr` can be read and written.
#[inline]
pub fn is_writable(addr: usize, len: usize) -> bool {
    let Some(end) = addr.checked_add(len) else { return false };
    let data = data();
    data.start <= addr && end <= data.end
        // Relaxed: whoever has found it mapped, it is.
        || addr >= HEAP_START.load(Ordering::Relaxed)
            && current_break().is_some_and(|heap_end| end <= heap_end)
}

/// The page at `page` was found to be writable: it may be the heap's.
pub fn note_writable(page: usize) {
    if page >= data().end && current_break().is_some_and(|heap_end| page < heap_end) {
        // Relaxed: as above.
        HEAP_START.fetch_min(page, Ordering::Relaxed);
    }
}

#[inline]
fn data() -> Range<usize> {
    // Acquire: pairs with the Release in `find_data`, so that the start belongs to it.
    match DATA_END.load(Ordering::Acquire) {
        0 => find_data(),
        end => DATA_START.load(Ordering::Relaxed)..end,
    }
}

#[cold]
fn find_data() -> Range<usize> {
    // Nothing is known without it, not of the heap either.
    let data = data_of_executable().unwrap_or(usize::MAX..usize::MAX);
    DATA_START.store(data.start, Ordering::Relaxed);
    // Release: pairs with the Acquire in `data`.
    DATA_END.store(data.end, Ordering::Release);
    data
}

/// The end of the heap, as libc knows it.
#[inline]
fn current_break() -> Option<usize> {
    // SAFETY: 0 changes nothing.
    let end = unsafe { libc::sbrk(0) };
    (end.addr() != usize::MAX).then_some(end.addr())
}

/// The last writable segment of the executable, without the part that is read-only once the program
/// runs.
fn data_of_executable() -> Option<Range<usize>> {
    // SAFETY: getauxval takes no pointer.
    let of = |what| unsafe { libc::getauxval(what) } as usize;
    let (table, count, page) = (of(AT_PHDR), of(AT_PHNUM), of(AT_PAGESZ));
    if table == 0 || !page.is_power_of_two() {
        return None;
    }
    // SAFETY: the kernel has told where the program headers of the executable are, and how many.
    let headers = unsafe {
        slice::from_raw_parts(core::ptr::with_exposed_provenance::<Elf64_Phdr>(table), count)
    };
    let find = |kind| headers.iter().find(|header| header.p_type == kind);
    // Where the file says that the headers are; an executable without such an entry is not looked at.
    let bias = table.checked_sub(find(PT_PHDR)?.p_vaddr as usize)?;
    let data = headers
        .iter()
        .filter(|header| header.p_type == PT_LOAD && header.p_flags & PF_W != 0)
        .max_by_key(|header| header.p_vaddr)?;
    let start = bias.checked_add(data.p_vaddr as usize)?;
    let end = start.checked_add(data.p_memsz as usize)?;
    let read_only_end = match find(PT_GNU_RELRO) {
        Some(part) => bias.checked_add((part.p_vaddr + part.p_memsz) as usize)?,
        None => start,
    };
    // The linker gives that part whole pages.
    let is_inside = (start..end).contains(&read_only_end);
    let start = if is_inside { read_only_end.checked_next_multiple_of(page)? } else { start };
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    static mut DATA: [u64; 512] = [1; 512];
    static CONSTANT: [u64; 512] = [1; 512];

    #[test]
    fn data_is_known_and_constants_are_not() {
        let data_at = (&raw mut DATA).addr();
        assert!(is_writable(data_at, 4096));
        assert!(!is_writable((&raw const CONSTANT).addr(), 8));
        assert!(!is_writable(data().end - 4, 8));
        assert!(!is_writable(data().start - 4, 8));
        assert!(!is_writable(usize::MAX - 3, 8));
        assert!(!is_writable(0, 8));
    }

    #[test]
    fn the_heap_is_known_from_what_was_found_to_its_end() {
        let end = current_break().unwrap();
        // SAFETY: the heap of this process grows by what nobody else uses.
        let before = unsafe { libc::sbrk(2 * 4096) }.addr();
        assert!(before >= end);
        let page = before.next_multiple_of(4096);
        note_writable(page);
        assert!(HEAP_START.load(Ordering::Relaxed) <= page);
        assert!(is_writable(page, 16));
        let end = current_break().unwrap();
        assert!(!is_writable(end - 4, 8));
        note_writable(end.next_multiple_of(4096) + 4096);
        note_writable(data().start);
        assert!(HEAP_START.load(Ordering::Relaxed) >= data().end);
    }

    #[test]
    fn what_is_known_is_mapped_and_writable() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let Range { start, end } = data();
        assert!(start < end);
        let mut next = start;
        for line in maps.lines() {
            let (range, rest) = line.split_once(' ').unwrap();
            let (from, to) = range.split_once('-').unwrap();
            let of = |digits| usize::from_str_radix(digits, 16).unwrap();
            if (of(from)..of(to)).contains(&next) && rest.starts_with("rw") {
                next = of(to);
            }
        }
        assert!(next >= end, "{next:x} of {start:x}-{end:x}\n{maps}");
    }
}
