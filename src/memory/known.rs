//! Memory of the program that is known to be there without asking: its writable data; its heap,
//! from the lowest address on that was asked about; and the stack that the calling thread was
//! started with, from the lowest frame on that was asked about, while the thread runs on it.
//!
//! Data and heap are mapped as long as the process lives, but for what free(3) gives back at the
//! end of the heap, which is looked up each time. The kernel puts the heap some way behind the data
//! and nothing between them, so that what is there and lies between the data and the break belongs
//! to the heap. That a stack has no gap is asked once ([`Stack`]).
//!
//! divergence: a program that protects or unmaps a part of them, and then passes it, gets a signal
//! where the kernel says EFAULT.
//!
//! No other system call is made: the program headers of the executable are in its memory, and libc
//! knows the break.

use core::ops::Range;
use core::slice;

use libc::{AT_PAGESZ, AT_PHDR, AT_PHNUM, Elf64_Phdr, PF_W, PT_GNU_RELRO, PT_LOAD, PT_PHDR};

use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::sys::mmap;

const PAGE: usize = 4096;

/// The executable's writable data; an end of 0: nobody has looked.
static DATA_START: AtomicUsize = AtomicUsize::new(0);
static DATA_END: AtomicUsize = AtomicUsize::new(0);
/// From here to the break is heap.
static HEAP_START: AtomicUsize = AtomicUsize::new(usize::MAX);

/// What one call of the library knows.
#[derive(Debug)]
pub struct Known {
    /// An address in the frame of the call.
    frame: usize,
    /// The end of the stack above it, as far as it is known; 0: it was not looked up.
    stack_end: usize,
    /// The end of the heap; 0: it was not looked up.
    heap_end: usize,
}

impl Known {
    /// For a call with a frame at `frame`.
    #[inline]
    pub fn new(frame: usize) -> Known {
        Known { frame, stack_end: 0, heap_end: 0 }
    }

    /// Whether all `len` bytes at `addr` can be read and written.
    #[inline(always)]
    pub fn is_writable(&mut self, addr: usize, len: usize) -> bool {
        let Some(end) = addr.checked_add(len) else { return false };
        let data = data();
        // Relaxed: whoever has found it mapped, it is.
        let heap_start = HEAP_START.load(Ordering::Relaxed);
        (data.start <= addr && end <= data.end)
            || (addr >= self.frame && end <= self.stack_end())
            || (addr >= heap_start && end <= self.heap_end())
    }

    #[inline]
    fn stack_end(&mut self) -> usize {
        if self.stack_end == 0 {
            let is_known = |top: &usize| Stack::of(*top).bottom(*top) <= self.frame / PAGE;
            let top = Stack::top(self.frame).filter(is_known);
            self.stack_end = top.map_or(self.frame, |top| (top + 1) * PAGE);
        }
        self.stack_end
    }

    #[inline]
    fn heap_end(&mut self) -> usize {
        if self.heap_end == 0 {
            // Without one there is no heap.
            self.heap_end = current_break().unwrap_or(1);
        }
        self.heap_end
    }

    /// The page at `page` was found to be writable: it may belong to the heap or to the stack.
    #[cold]
    pub fn note_writable(&mut self, page: usize) {
        if page >= data().end && page < self.heap_end() {
            // Relaxed: as above.
            HEAP_START.fetch_min(page, Ordering::Relaxed);
        } else {
            self.ask_stack(page);
        }
    }

    /// Asks whether the stack is there from the frame of the call on, if an address seems to be on
    /// it. Whether that is so.
    #[cold]
    pub fn ask_stack(&mut self, addr: usize) -> bool {
        let is_below = |top: &usize| (self.frame..(top + 1) * PAGE).contains(&addr);
        let Some(top) = Stack::top(self.frame).filter(is_below) else { return false };
        Stack::of(top).note(top, self.frame, |pages| {
            mmap::is_writable(pages.start * PAGE, pages.len() * PAGE)
        });
        self.stack_end = 0;
        addr < self.stack_end()
    }
}

/// The stack of a thread, from some page up to its top without a gap: the number of the topmost
/// page in the upper bits, how many lie below it in the lower. A stack is known by its top, which
/// stays while its thread lives; a coroutine's stack has none that we know.
#[derive(Debug, Default)]
struct Stack(AtomicU64);

impl Stack {
    const COUNT_BITS: u32 = 16;
    /// So many pages below the top are looked at.
    const MAX_PAGES: usize = 256;

    /// The one whose topmost page is `top`.
    #[inline]
    fn of(top: usize) -> &'static Stack {
        const PLACES: usize = 64;
        static STACKS: [Stack; PLACES] = [const { Stack(AtomicU64::new(0)) }; PLACES];
        // Stacks of threads are often a power of two apart, and a page more.
        &STACKS[(top ^ top >> 8) % PLACES]
    }

    /// The topmost page of the stack that the calling thread runs on, with a frame at `frame`.
    ///
    /// The C library keeps what it knows of a thread at the top of its stack, and puts a page that
    /// is not there below that stack. Not so for the first thread, so that one has to be known
    /// before the others are.
    #[inline]
    fn top(frame: usize) -> Option<usize> {
        let near = frame / PAGE..frame / PAGE + Stack::MAX_PAGES;
        let (own, of_first) = (this_thread(), top_of_first_stack());
        let first = FIRST_THREAD.load(Ordering::Relaxed);
        if near.contains(&of_first) {
            if first == 0 {
                FIRST_THREAD.store(own, Ordering::Relaxed);
            }
            return Some(of_first);
        }
        // Or it is a coroutine, or a handler with a stack of its own.
        (first != 0 && own != first && near.contains(&(own / PAGE))).then_some(own / PAGE)
    }

    /// The lowest page that is known.
    #[inline]
    fn bottom(&self, top: usize) -> usize {
        // Relaxed: one word, and nothing follows from it but itself.
        let word = self.0.load(Ordering::Relaxed);
        let is_it = (word >> Stack::COUNT_BITS) as usize == top;
        let count = word as usize & ((1 << Stack::COUNT_BITS) - 1);
        if is_it { top - count } else { usize::MAX }
    }

    /// It is known from `frame` on, if `is_writable` says so of the pages that are not known yet.
    fn note(&self, top: usize, frame: usize, is_writable: impl FnOnce(Range<usize>) -> bool) {
        let first = frame / PAGE;
        let bottom = self.bottom(top).min(top + 1);
        if first < bottom && is_writable(first..bottom) {
            let word = (top as u64) << Stack::COUNT_BITS | (top - first) as u64;
            self.0.store(word, Ordering::Relaxed);
        }
    }
}

/// What the C library keeps of the first thread; 0: that has not called the library from its own
/// stack.
static FIRST_THREAD: AtomicUsize = AtomicUsize::new(0);

/// Notes the calling thread, if it is the first one: programs often make their contexts there.
pub fn note_thread() {
    let frame = 0u8;
    let _ = Stack::top((&raw const frame).addr());
}

#[inline]
fn this_thread() -> usize {
    // SAFETY: no argument.
    unsafe { libc::pthread_self() as usize }
}

/// The topmost page of the first thread's stack, as far as we need it: the kernel has put 16 random
/// bytes there.
fn top_of_first_stack() -> usize {
    static TOP: AtomicUsize = AtomicUsize::new(0);
    match TOP.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: getauxval takes no pointer.
            let top = (unsafe { libc::getauxval(libc::AT_RANDOM) } as usize / PAGE).max(1);
            TOP.store(top, Ordering::Relaxed);
            top
        }
        top => top,
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
    // Where the file says that the headers are; an executable without such an entry is not looked
    // at.
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

    fn is_writable(addr: usize, len: usize) -> bool {
        // Of another stack than the test's, of which nothing is known.
        Known::new(8).is_writable(addr, len)
    }

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
        let note_writable = |page| Known::new(8).note_writable(page);
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
    fn a_stack_is_known_from_the_frame_to_its_top_if_it_has_no_gap() {
        let stack = Stack::default();
        let (top, at) = (0x7010, |page: usize| page * PAGE + 8);
        assert_eq!(stack.bottom(top), usize::MAX);
        stack.note(top, at(0x7003), |pages| pages != (0x7003..0x7011));
        assert_eq!(stack.bottom(top), usize::MAX, "a gap");
        stack.note(top, at(0x7003), |_| true);
        assert_eq!(stack.bottom(top), 0x7003);
        assert_eq!(stack.bottom(top + 1), usize::MAX, "another stack");
        stack.note(top, at(0x7001), |pages| pages == (0x7001..0x7003));
        assert_eq!(stack.bottom(top), 0x7001, "only what is new is asked about");
        stack.note(top, at(0x7000), |_| false);
        assert_eq!(stack.bottom(top), 0x7001);
    }

    #[test]
    fn the_stacks_of_threads_are_known_and_others_are_not() {
        let look = || {
            let word = 1u64;
            let at = (&raw const word).addr();
            let mut known = Known::new(at);
            let before = known.is_writable(at, 8);
            (before, known.ask_stack(at), known.is_writable(at, 8))
        };
        // The first thread of a test does not run tests.
        let first = FIRST_THREAD.load(Ordering::Relaxed);
        FIRST_THREAD.store(first.max(1), Ordering::Relaxed);
        assert_eq!(std::thread::spawn(look).join().unwrap(), (false, true, true));
        let page = crate::sys::mmap::anonymous(PAGE, crate::sys::mmap::Protection::ReadWrite);
        assert_eq!(Stack::top(page.unwrap()), None, "as a coroutine's");
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
