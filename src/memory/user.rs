//! The caller's memory: probed before it is touched, copied once.
//!
//! A bad pointer must give EFAULT, not a crash, and no signal handler of ours may be needed for
//! that. So the kernel is asked first, by system calls that read or rewrite a few bytes and fail
//! with EFAULT where a copy would. What is known to be good is remembered for one call of the
//! library only ([`Pages`]): by the next one the program may have unmapped it. What
//! [`super::known`] knows needs no question.

use core::ffi::c_int;
use core::mem::{MaybeUninit, align_of, size_of};

use libc::{
    FUTEX_CMP_REQUEUE, FUTEX_PRIVATE_FLAG, FUTEX_WAKE_OP, SYS_futex, SYS_rt_sigprocmask,
    SYS_sendfile, timespec,
};
use once_cell::race::OnceBool;

use crate::aio_abi::Iocb;
use crate::memory::known::Known;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::raw::syscall;

const PAGE: usize = 4096;

/// What a probe reads or rewrites.
const WORD: usize = 8;

/// Stands for "none" among page numbers: no address has it.
const NO_PAGE: usize = usize::MAX;

/// A timeout of nothing, for our own calls.
pub static ZERO_TIMEOUT: ZeroTimeout = ZeroTimeout(timespec { tv_sec: 0, tv_nsec: 0 });

/// See [`ZERO_TIMEOUT`].
#[derive(Debug)]
pub struct ZeroTimeout(timespec);

impl ZeroTimeout {
    /// Its address, in the form in which programs pass timeouts.
    pub fn as_ptr(&self) -> *const timespec {
        &self.0
    }
}

/// Pages that this call of the library knows to be mapped.
#[derive(Debug)]
pub struct Pages {
    known: Known,
    writable: [usize; 4],
    readable: [usize; 4],
    next: usize,
}

impl Pages {
    /// Nothing is known yet but the stack page that we run on.
    #[inline]
    pub fn new() -> Pages {
        let frame = 0u8;
        let frame = (&raw const frame).addr();
        Pages {
            known: Known::new(frame),
            writable: [frame / PAGE, NO_PAGE, NO_PAGE, NO_PAGE],
            readable: [NO_PAGE; 4],
            next: 0,
        }
    }

    fn remember(cache: &mut [usize; 4], next: &mut usize, page: usize) {
        // Entry 0 of `writable` stays the stack page.
        cache[1 + *next % 3] = page;
        *next = next.wrapping_add(1);
    }

    /// EFAULT unless `len` bytes at `addr` can be read and written.
    #[inline(always)]
    pub fn check_writable(&mut self, addr: usize, len: usize) -> Result<()> {
        if self.known.is_writable(addr, len) { Ok(()) } else { self.ask_writable(addr, len) }
    }

    fn ask_writable(&mut self, addr: usize, len: usize) -> Result<()> {
        self.each_page(addr, len, |pages, word, page| {
            if pages.writable.contains(&page) {
                return Ok(());
            }
            probe_write(word, page)?;
            pages.known.note_writable(page * PAGE);
            Self::remember(&mut pages.writable, &mut pages.next, page);
            Ok(())
        })
    }

    /// EFAULT unless `len` bytes at `addr` can be read.
    #[inline(always)]
    pub fn check_readable(&mut self, addr: usize, len: usize) -> Result<()> {
        if self.known.is_writable(addr, len) { Ok(()) } else { self.ask_readable(addr, len) }
    }

    fn ask_readable(&mut self, addr: usize, len: usize) -> Result<()> {
        self.each_page(addr, len, |pages, word, page| {
            if pages.writable.contains(&page) || pages.readable.contains(&page) {
                return Ok(());
            }
            if pages.known.ask_stack(page * PAGE) {
                return Ok(());
            }
            probe_read(word, page)?;
            Self::remember(&mut pages.readable, &mut pages.next, page);
            Ok(())
        })
    }

    /// Calls `check` with the address of a word of 8 bytes, and the page it stands for, for each
    /// page.
    ///
    /// The word lies in the range, whatever page it ends in: what is beside the range may belong to
    /// another thread, and is not rewritten. A shorter range is the key of an iocb, which has more
    /// of the iocb on both sides: there the word lies in the page, since the next one does not
    /// count.
    #[inline]
    fn each_page(
        &mut self,
        addr: usize,
        len: usize,
        mut check: impl FnMut(&mut Self, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let Some(last) = len.checked_sub(1).and_then(|more| addr.checked_add(more)) else {
            return if len == 0 { Ok(()) } else { Err(Errno::FAULT) };
        };
        for page in addr / PAGE..=last / PAGE {
            let end = if len < WORD { page * PAGE + (PAGE - 1) } else { last };
            check(self, addr.max(page * PAGE).min(end - (WORD - 1)), page)?;
        }
        Ok(())
    }

    /// Copies one `T` from the program.
    ///
    /// # Safety
    /// Every bit pattern must be a valid `T`.
    #[inline(always)]
    pub unsafe fn read<T: Copy>(&mut self, addr: usize) -> Result<T> {
        self.check_readable(addr, size_of::<T>())?;
        // SAFETY: the range is readable, and any bits make a `T`, as the caller vouches.
        Ok(unsafe { read(addr) })
    }

    /// Copies one `T` to the program.
    #[inline]
    pub fn write<T: Copy>(&mut self, addr: usize, value: T) -> Result<()> {
        self.check_writable(addr, size_of::<T>())?;
        // SAFETY: just checked.
        unsafe { write(addr, value) };
        Ok(())
    }

    /// Copies the iocb at `addr`, and tells whether its key can be written.
    ///
    /// The key is not written here: io_submit_one does that only after several checks.
    #[inline(always)]
    pub fn read_iocb(&mut self, addr: usize) -> Result<(Iocb, KeyAccess)> {
        match self.known_iocb(addr) {
            Some(iocb) => Ok((iocb, KeyAccess::Writable)),
            None => self.ask_iocb(addr),
        }
    }

    /// The same, if nothing has to be asked; its key can be written.
    #[inline(always)]
    pub fn known_iocb(&mut self, addr: usize) -> Option<Iocb> {
        // SAFETY: it is readable, and integers only.
        self.known.is_writable(addr, size_of::<Iocb>()).then(|| unsafe { read::<Iocb>(addr) })
    }

    fn ask_iocb(&mut self, addr: usize) -> Result<(Iocb, KeyAccess)> {
        // One system call tells both for the usual iocb, which lies in one writable page.
        let key = addr.wrapping_add(core::mem::offset_of!(Iocb, key));
        let access = match self.check_writable(key, size_of::<u32>()) {
            Ok(()) => KeyAccess::Writable,
            Err(_) => KeyAccess::ReadOnly,
        };
        // SAFETY: an iocb is integers only.
        let iocb = unsafe { self.read::<Iocb>(addr) }?;
        Ok((iocb, access))
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether two addresses are in one page.
#[inline]
pub fn is_same_page(a: usize, b: usize) -> bool {
    a / PAGE == b / PAGE
}

/// Reads a `T` of the program's once, word by word.
///
/// The words are atomic where they are aligned: another thread of the program may write there, and
/// a call of ours may write the key of an iocb.
///
/// # Safety
/// The `T` at `addr` was found to be readable in this call, and any bits must make one.
#[inline]
pub unsafe fn read<T: Copy>(addr: usize) -> T {
    const DOUBLE: usize = size_of::<u64>();
    const SINGLE: usize = size_of::<u32>();
    let size = size_of::<T>();
    let from = core::ptr::with_exposed_provenance_mut::<u8>(addr);
    let mut value = MaybeUninit::<T>::uninit();
    let to = value.as_mut_ptr().cast::<u8>();
    // SAFETY, both: inside the `T`, and aligned, since its place and size are. Relaxed: what else
    // the program has written it makes known by the call.
    if size.is_multiple_of(DOUBLE) && addr.is_multiple_of(DOUBLE) {
        for index in 0..size / DOUBLE {
            // SAFETY: as above.
            unsafe {
                let word = AtomicU64::from_ptr(from.cast::<u64>().add(index));
                to.cast::<u64>().add(index).write_unaligned(word.load(Ordering::Relaxed));
            }
        }
    } else if size.is_multiple_of(SINGLE) && addr.is_multiple_of(SINGLE) {
        for index in 0..size / SINGLE {
            // SAFETY: as above.
            unsafe {
                let word = AtomicU32::from_ptr(from.cast::<u32>().add(index));
                to.cast::<u32>().add(index).write_unaligned(word.load(Ordering::Relaxed));
            }
        }
    } else {
        // SAFETY: the caller vouches for it. Volatile: read once.
        return unsafe { core::ptr::with_exposed_provenance::<Unaligned<T>>(addr).read_volatile() }
            .0;
    }
    // SAFETY: every byte of it has been written.
    unsafe { value.assume_init() }
}

/// Copies a `T` to the program.
///
/// # Safety
/// The range was found to be writable in this call.
#[inline]
pub unsafe fn write<T: Copy>(addr: usize, value: T) {
    let target = core::ptr::with_exposed_provenance_mut::<Unaligned<T>>(addr);
    // SAFETY: the caller's promise; whose memory it is, the program decided by passing it.
    unsafe { target.write_volatile(Unaligned(value)) };
}

/// Programs align as they like.
#[derive(Clone, Copy)]
#[repr(C, packed)]
struct Unaligned<T>(T);

/// Whether the page with the iocb's key can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAccess {
    /// It can.
    Writable,
    /// It cannot: EFAULT, once the checks that come before have passed.
    ReadOnly,
}

/// fs/aio.c, io_submit_one: `put_user(KIOCB_KEY, &user_iocb->aio_key)`, with KIOCB_KEY 0.
#[inline]
pub fn write_key(iocb: usize, access: KeyAccess) -> Result<()> {
    if access == KeyAccess::ReadOnly {
        return Err(Errno::FAULT);
    }
    let key = iocb.wrapping_add(core::mem::offset_of!(Iocb, key));
    if key.is_multiple_of(align_of::<AtomicU32>()) {
        // SAFETY: `read_iocb` of this call found the key writable. Relaxed: it publishes nothing;
        // atomic, since another thread may submit or cancel the same iocb at this moment.
        unsafe { AtomicU32::from_ptr(core::ptr::with_exposed_provenance_mut(key)) }
            .store(0, Ordering::Relaxed);
    } else {
        let key = core::ptr::with_exposed_provenance_mut::<Unaligned<u32>>(key);
        // SAFETY: as above.
        unsafe { key.write_volatile(Unaligned(0)) };
    }
    Ok(())
}

/// fs/aio.c, io_cancel: EFAULT for an unreadable key, EINVAL for one that is not 0.
pub fn check_cancel_key(iocb: usize) -> Result<()> {
    let key = iocb.wrapping_add(core::mem::offset_of!(Iocb, key));
    // SAFETY: an integer.
    let key = unsafe { Pages::new().read::<u32>(key) }?;
    if key == 0 { Ok(()) } else { Err(Errno::INVAL) }
}

/// Reads the context handle that io_setup is given.
pub fn read_word(addr: usize) -> Result<usize> {
    // SAFETY: an integer.
    unsafe { Pages::new().read(addr) }
}

/// Writes a context handle.
pub fn write_word(addr: usize, value: usize) -> Result<()> {
    Pages::new().write(addr, value)
}

/// Whether `len` bytes at `addr` are below the end of user addresses (`access_ok`). What is mapped
/// there is another question, which the operation itself answers.
#[inline]
pub fn is_user_range(addr: u64, len: u64) -> bool {
    addr.checked_add(len).is_some_and(|end| end <= USER_END || end <= widest_user_end())
}

/// End of user addresses without larger page tables (x86: TASK_SIZE_MAX; arm64: TASK_SIZE).
#[cfg(target_arch = "x86_64")]
const USER_END: u64 = (1 << 47) - 4096;
/// End of user addresses without larger page tables (x86: TASK_SIZE_MAX; arm64: TASK_SIZE).
#[cfg(target_arch = "aarch64")]
const USER_END: u64 = 1 << 48;

/// End of user addresses on this machine: with five-level tables the kernel hands out addresses
/// above [`USER_END`] to those who ask for them.
#[cold]
fn widest_user_end() -> u64 {
    static WIDE: OnceBool = OnceBool::new();
    #[cfg(target_arch = "x86_64")]
    const WIDE_END: u64 = (1 << 56) - 4096;
    #[cfg(target_arch = "aarch64")]
    const WIDE_END: u64 = 1 << 52;
    let wide = WIDE.get_or_init(|| crate::sys::mmap::can_map_above(USER_END));
    if wide { WIDE_END } else { USER_END }
}

/// EFAULT unless the 8 bytes at `addr` can be read. Some of them, at least, are in `page`.
///
/// kernel/signal.c, rt_sigprocmask: the new mask is copied before `how` is looked at, so that an
/// invalid `how` makes the call a read of 8 bytes and nothing else.
fn probe_read(addr: usize, page: usize) -> Result<()> {
    const NO_SUCH_HOW: c_int = 99;
    // SAFETY: the kernel only reads 8 bytes at `addr`, or fails with EFAULT.
    match unsafe { syscall!(SYS_rt_sigprocmask, NO_SUCH_HOW, addr, 0, 8) } {
        Err(Errno::INVAL) if addr != 0 => Ok(()),
        Err(Errno::INVAL | Errno::FAULT) => Err(Errno::FAULT),
        _ => probe_read_by_futex(addr.max(page * PAGE)),
    }
}

/// Where a filter refuses that: kernel/futex/requeue.c, futex_requeue, compares 4 bytes, and then
/// wakes nobody and moves nobody. Read-only memory will do.
#[cold]
fn probe_read_by_futex(addr: usize) -> Result<()> {
    let nobody = AtomicU32::new(0);
    let aligned = addr & !3;
    const FLAGS: c_int = FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG;
    // SAFETY: the kernel only reads 4 bytes of the caller, or fails with EFAULT.
    match unsafe { syscall!(SYS_futex, aligned, FLAGS, 0, 0, nobody.as_ptr(), 0) } {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(_) => Err(Errno::FAULT),
    }
}

/// EFAULT unless the 8 bytes at `addr` can be read and written. They keep their value. Some of
/// them, at least, are in `page`.
#[inline]
fn probe_write(addr: usize, page: usize) -> Result<()> {
    static BY_SENDFILE: OnceBool = OnceBool::new();
    if BY_SENDFILE.get_or_init(sendfile_probes) {
        match probe_write_by_sendfile(addr) {
            // A filter answers, since a moment ago.
            Err(error) if error != Errno::FAULT => {}
            result => return result,
        }
    }
    // It takes 4 bytes, which would be those before the page.
    probe_write_by_futex(addr.max(page * PAGE))
}

/// fs/read_write.c, sendfile64: the offset is copied in, the files turn out not to exist, and the
/// same offset is copied out. That is the price of an empty system call.
#[inline]
fn probe_write_by_sendfile(addr: usize) -> Result<()> {
    // A null pointer means "no offset" to sendfile.
    if addr == 0 {
        return Err(Errno::FAULT);
    }
    // SAFETY: the kernel rewrites 8 bytes of the caller with what they hold, or fails with EFAULT.
    // They belong to an iocb or an event buffer that the program has handed to this call.
    match unsafe { syscall!(SYS_sendfile, -1isize, -1isize, addr, 0) } {
        Err(Errno::BADF) => Ok(()),
        result => result.map(|_| ()),
    }
}

/// An atomic "or 0" by the kernel: twice the price of sendfile, but every kernel checks the memory.
#[cold]
fn probe_write_by_futex(addr: usize) -> Result<()> {
    // FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, -2048): no value of a word is worth a wake-up.
    const OR_ZERO: usize = 2 << 28 | 2 << 24 | 0x800;
    let nobody = AtomicU32::new(0);
    let aligned = addr & !3;
    // SAFETY: the kernel ors 0 into 4 bytes of the caller atomically, or fails with EFAULT.
    let result = unsafe {
        syscall!(
            SYS_futex,
            nobody.as_ptr(),
            FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG,
            0,
            0,
            aligned,
            OR_ZERO,
        )
    };
    result.map(|_| ()).map_err(|_| Errno::FAULT)
}

/// Whether this kernel's sendfile touches the offset before it looks at the files; Linux does,
/// other kernels need not, and a seccomp filter may answer in its place.
///
/// The bad address is one that can be read: a call that refuses it has written, and valgrind, to
/// which it is a good one, has nothing to report.
#[cold]
fn sendfile_probes() -> bool {
    static CONSTANT: u64 = 1;
    let mut local = 1u64;
    probe_write_by_sendfile((&raw mut local).addr()).is_ok()
        && probe_write_by_sendfile((&raw const CONSTANT).addr()).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mmap::{self, Protection};

    static READ_ONLY: [u64; 8] = [7; 8];

    type Probe = (&'static str, fn(usize) -> Result<()>);

    fn write_probes() -> [Probe; 2] {
        [("sendfile", probe_write_by_sendfile), ("futex", probe_write_by_futex)]
    }

    #[test]
    fn write_probes_find_bad_memory_and_keep_good() {
        let none = mmap::anonymous(PAGE, Protection::None).unwrap();
        for (name, probe) in write_probes() {
            let mut word = 0x1234_5678_9abc_def0u64;
            assert_eq!(probe((&raw mut word).addr()), Ok(()), "{name}");
            assert_eq!(word, 0x1234_5678_9abc_def0, "{name}");
            for bad in [0, 8, none, (&raw const READ_ONLY).addr(), usize::MAX - 64, 1 << 63] {
                assert_eq!(probe(bad), Err(Errno::FAULT), "{name} {bad:#x}");
            }
        }
        assert!(sendfile_probes());
    }

    #[test]
    fn read_probe_accepts_constants_and_refuses_strangers() {
        let none = mmap::anonymous(PAGE, Protection::None).unwrap();
        let by_mask: fn(usize) -> Result<()> = |addr| probe_read(addr, addr / PAGE);
        for probe in [by_mask, probe_read_by_futex] {
            assert_eq!(probe((&raw const READ_ONLY).addr()), Ok(()));
            for bad in [0, 8, none, usize::MAX - 64, 1 << 63] {
                assert_eq!(probe(bad), Err(Errno::FAULT), "{bad:#x}");
            }
        }
    }

    #[test]
    fn ranges_are_checked_to_their_last_page() {
        let two = mmap::anonymous(2 * PAGE, Protection::ReadWrite).unwrap();
        mmap::protect(two + PAGE, PAGE, Protection::None).unwrap();
        let mut pages = Pages::new();
        assert_eq!(pages.check_writable(two + PAGE - 64, 64), Ok(()));
        assert_eq!(pages.check_writable(two + PAGE - 63, 64), Err(Errno::FAULT));
        assert_eq!(pages.check_readable(two + PAGE - 1, 2), Err(Errno::FAULT));
        assert_eq!(pages.check_readable(usize::MAX, 2), Err(Errno::FAULT));
        assert_eq!(pages.check_readable(0, 0), Ok(()));
        assert_eq!(pages.check_readable(8, 8), Err(Errno::FAULT));
        assert_eq!(pages.check_writable(8, 8), Err(Errno::FAULT));
    }

    #[test]
    fn a_key_at_the_edge_of_a_page_is_judged_by_its_own_bytes() {
        let two = mmap::anonymous(2 * PAGE, Protection::ReadWrite).unwrap();
        for (beyond, readable) in [(libc::PROT_NONE, Err(Errno::FAULT)), (libc::PROT_READ, Ok(()))]
        {
            // SAFETY: a page of our own.
            unsafe { syscall!(libc::SYS_mprotect, two + PAGE, PAGE, beyond) }.unwrap();
            for offset in 1..=16 {
                let key = two + PAGE - offset;
                let is_inside = offset >= 4;
                let wanted = if is_inside { Ok(()) } else { Err(Errno::FAULT) };
                assert_eq!(Pages::new().check_writable(key, 4), wanted, "{offset}");
                let wanted = if is_inside { Ok(()) } else { readable };
                assert_eq!(Pages::new().check_readable(key, 4), wanted, "{offset}");
            }
            assert_eq!(Pages::new().check_readable(two + PAGE, 4), readable);
            assert_eq!(Pages::new().check_writable(two + PAGE, 4), Err(Errno::FAULT));
        }
    }

    #[test]
    fn the_word_for_a_page_touches_it_and_nothing_beside_the_range() {
        for len in [4, 8, 9, 64, 5000] {
            for addr in 3 * PAGE - 70..3 * PAGE + 8 {
                let mut next = addr / PAGE;
                let mut look = |_: &mut Pages, word: usize, page: usize| {
                    assert_eq!(page, next);
                    next += 1;
                    let (first, end) = (page * PAGE, (page + 1) * PAGE);
                    assert!(word < end && word + 8 > first, "{addr} {len}: {word}");
                    // What the futex takes.
                    assert!((word.max(first) & !3) + 4 <= end);
                    assert!(match len < 8 {
                        true => word >= first && word + 8 <= end,
                        false => word >= addr && word + 8 <= addr + len,
                    });
                    Ok(())
                };
                assert_eq!(Pages::new().each_page(addr, len, &mut look), Ok(()));
                assert_eq!(next, (addr + len - 1) / PAGE + 1);
            }
        }
    }

    #[test]
    fn iocb_in_read_only_memory_is_read_but_its_key_is_not_written() {
        let addr = (&raw const READ_ONLY).addr();
        let (iocb, access) = Pages::new().read_iocb(addr).unwrap();
        assert_eq!((iocb.data, access), (7, KeyAccess::ReadOnly));
        assert_eq!(write_key(addr, access), Err(Errno::FAULT));
    }

    #[test]
    fn user_ranges_end_where_the_kernel_begins() {
        assert!(is_user_range(0, 0));
        assert!(is_user_range(0x7fff_ffff_e000, 0x1000));
        assert!(!is_user_range(1 << 63, 0));
        assert!(!is_user_range(u64::MAX, 2));
    }
}
