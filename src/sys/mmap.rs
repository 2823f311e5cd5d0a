//! Mappings.

use libc::{
    MADV_DOFORK, MADV_DONTFORK, MADV_REMOVE, MADV_WIPEONFORK, MAP_ANONYMOUS, MAP_FAILED,
    MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, MREMAP_FIXED,
    MREMAP_MAYMOVE, PROT_NONE, PROT_READ, PROT_WRITE, SYS_madvise, SYS_mmap, SYS_mprotect,
    SYS_mremap, SYS_munmap, SYS_process_vm_readv, c_int, iovec,
};

use crate::sync::{AtomicBool, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd;
use crate::sys::raw::syscall;

/// What may be done with the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing: touching it is a SIGSEGV.
    None,
    /// Reading and writing.
    ReadWrite,
}

impl Protection {
    fn bits(self) -> c_int {
        match self {
            Protection::None => PROT_NONE,
            Protection::ReadWrite => PROT_READ | PROT_WRITE,
        }
    }
}

fn map(hint: usize, len: usize, protection: Protection, flags: c_int) -> Result<usize> {
    // SAFETY: without MAP_FIXED the kernel picks free addresses; nothing of ours is replaced.
    unsafe { syscall!(SYS_mmap, hint, len, protection.bits(), flags | MAP_ANONYMOUS, -1isize, 0) }
}

/// Zeroed private memory; page aligned.
pub fn anonymous(len: usize, protection: Protection) -> Result<usize> {
    map(0, len, protection, MAP_PRIVATE)
}

/// Zeroed private memory that is charged page by page as it is touched.
pub fn anonymous_lazy(len: usize) -> Result<usize> {
    map(0, len, Protection::ReadWrite, MAP_PRIVATE | MAP_NORESERVE)
}

/// Zeroed shared memory.
pub fn shared(len: usize) -> Result<usize> {
    map(0, len, Protection::ReadWrite, MAP_SHARED | MAP_NORESERVE)
}

/// Zeroed shared memory, mapped twice.
pub fn twins(len: usize) -> Result<(usize, usize)> {
    twins_of_nothing(len).or_else(|_| twins_of_memfd(len))
}

/// Without a descriptor and without regard to limits of file size.
fn twins_of_nothing(len: usize) -> Result<(usize, usize)> {
    let first = shared(len)?;
    // mm/mremap.c: an old size of 0 duplicates a shared mapping and leaves the old one in place.
    // SAFETY: only a new mapping is made.
    match unsafe { syscall!(SYS_mremap, first, 0, len, MREMAP_MAYMOVE) } {
        Ok(second) => Ok((first, second)),
        Err(error) => {
            // SAFETY: mapped above, known to nobody.
            let _ = unsafe { unmap(first, len) };
            Err(error)
        }
    }
}

/// For systems that do not know that use of mremap: other kernels, valgrind.
#[cold]
fn twins_of_memfd(len: usize) -> Result<(usize, usize)> {
    // Beyond the limit ftruncate would raise SIGXFSZ.
    if fd::limit(libc::RLIMIT_FSIZE).is_some_and(|limit| limit < len as u64) {
        return Err(Errno::NOMEM);
    }
    let file = fd::memory_file()?;
    // SAFETY: no pointer.
    unsafe { syscall!(libc::SYS_ftruncate, file.raw(), len) }?;
    let map = || {
        let bits = Protection::ReadWrite.bits();
        // SAFETY: without MAP_FIXED nothing of ours is replaced.
        unsafe { syscall!(SYS_mmap, 0, len, bits, MAP_SHARED | MAP_NORESERVE, file.raw(), 0) }
    };
    let first = map()?;
    match map() {
        Ok(second) => Ok((first, second)),
        Err(error) => {
            // SAFETY: mapped above, known to nobody.
            let _ = unsafe { unmap(first, len) };
            Err(error)
        }
    }
}

/// Moves a mapping onto another one, which goes.
///
/// # Safety
/// Nothing uses either of the addresses until this is over, and the old one afterwards.
pub unsafe fn move_onto(addr: usize, len: usize, to: usize) -> Result<()> {
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    // SAFETY: the caller's promise.
    unsafe { syscall!(SYS_mremap, addr, len, len, flags, to) }.map(|_| ())
}

/// Shows shared memory a second time at an address where nothing is, for forked children, too.
/// EEXIST: something is there.
pub fn show_again(addr: usize, len: usize, at: usize) -> Result<()> {
    // Takes the address first: mremap would replace what another thread has mapped there meanwhile.
    let taken = map(at, len, Protection::None, MAP_PRIVATE | MAP_FIXED_NOREPLACE)?;
    if taken != at {
        // Linux before 4.17 takes the address for a wish.
        // SAFETY: mapped above, known to nobody.
        let _ = unsafe { unmap(taken, len) };
        return Err(Errno::EXIST);
    }
    let flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    // SAFETY: what is replaced was mapped above. An old size of 0 leaves the old mapping in place.
    match unsafe { syscall!(SYS_mremap, addr, 0, len, flags, at) } {
        Ok(_) => {
            // mm/mremap.c: it is as the old one, which may not be for children.
            // SAFETY: no effect in this process.
            let _ = unsafe { syscall!(SYS_madvise, at, len, MADV_DOFORK) };
            Ok(())
        }
        Err(error) => {
            // SAFETY: mapped above, known to nobody.
            let _ = unsafe { unmap(at, len) };
            Err(error)
        }
    }
}

/// Gives addresses back.
///
/// # Safety
/// Nothing may use the range afterwards.
pub unsafe fn unmap(addr: usize, len: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe { syscall!(SYS_munmap, addr, len) }.map(|_| ())
}

/// Changes what may be done with a range of ours.
pub fn protect(addr: usize, len: usize, protection: Protection) -> Result<()> {
    // SAFETY: the callers pass ranges that only programs touch through raw pointers.
    unsafe { syscall!(SYS_mprotect, addr, len, protection.bits()) }.map(|_| ())
}

/// Whether all pages of a range are there and writable, as far as the kernel can say so (Linux
/// 5.14). Nothing is written. Once it cannot, it is not asked again.
pub fn is_writable(start: usize, len: usize) -> bool {
    static CANNOT: AtomicBool = AtomicBool::new(false);
    if CANNOT.load(Ordering::Relaxed) {
        return false;
    }
    // SAFETY: the pages are made ready for writing, if they may be written; they keep what they
    // hold.
    let asked: Result<usize> =
        unsafe { syscall!(SYS_madvise, start, len, libc::MADV_POPULATE_WRITE) };
    match asked {
        Ok(_) => true,
        // A gap, or no right to write.
        Err(Errno::NOMEM | Errno::FAULT) => false,
        Err(_) => {
            CANNOT.store(true, Ordering::Relaxed);
            false
        }
    }
}

/// Keeps a forked child from inheriting the range.
pub fn dont_fork(addr: usize, len: usize) -> Result<()> {
    // SAFETY: no effect in this process.
    unsafe { syscall!(SYS_madvise, addr, len, MADV_DONTFORK) }.map(|_| ())
}

/// Memory that the driver behind `fd` shares, for reading and writing.
pub fn device(fd: c_int, len: usize, offset: u64) -> Result<usize> {
    let protection = Protection::ReadWrite.bits();
    // SAFETY: without MAP_FIXED the kernel picks free addresses; nothing of ours is replaced.
    unsafe { syscall!(SYS_mmap, 0, len, protection, MAP_SHARED | MAP_POPULATE, fd, offset) }
}

/// Makes a forked child find zeros in the range, which must be private anonymous memory.
pub fn wipe_on_fork(addr: usize, len: usize) -> Result<()> {
    // SAFETY: no effect in this process.
    unsafe { syscall!(SYS_madvise, addr, len, MADV_WIPEONFORK) }.map(|_| ())
}

/// Frees the pages behind a range of shared memory; it reads as zeros afterwards.
pub fn discard(addr: usize, len: usize) -> Result<()> {
    // SAFETY: the callers pass ring memory that no context uses.
    unsafe { syscall!(SYS_madvise, addr, len, MADV_REMOVE) }.map(|_| ())
}

/// Whether the kernel maps at addresses above `end` when asked.
pub fn can_map_above(end: u64) -> bool {
    let Ok(addr) = map((end as usize) << 1, 4096, Protection::None, MAP_PRIVATE) else {
        return false;
    };
    // SAFETY: the page was mapped just above and nobody knows of it.
    let _ = unsafe { unmap(addr, 4096) };
    debug_assert_ne!(addr, MAP_FAILED.addr());
    addr as u64 >= end
}

/// Copies from an address that may be anything, without a trap; EFAULT if nothing is there.
pub fn read_safely<T: Copy + Default>(addr: usize) -> Result<T> {
    let mut value = T::default();
    let len = size_of::<T>();
    let local = iovec { iov_base: (&raw mut value).cast(), iov_len: len };
    let remote = iovec { iov_base: core::ptr::without_provenance_mut(addr), iov_len: len };
    let pid = std::process::id();
    // SAFETY: the kernel writes at most `len` bytes to `value`, which any integers make valid; the
    // remote address is only read, and checked by the kernel.
    let copied = match unsafe {
        syscall!(SYS_process_vm_readv, pid, &raw const local, 1, &raw const remote, 1, 0)
    } {
        // Its twin, from there to here.
        // SAFETY: as above: from the address that may be anything to `value`.
        Err(Errno::PERM | Errno::NOSYS | Errno::ACCES) => unsafe {
            let (from, to) = (&raw const remote, &raw const local);
            syscall!(libc::SYS_process_vm_writev, pid, from, 1, to, 1, 0)
        }?,
        result => result?,
    };
    if copied == len { Ok(value) } else { Err(Errno::FAULT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_map_twice_show_the_same_memory() {
        for twins in [twins_of_nothing, twins_of_memfd] {
            let (first, second) = twins(3 * 4096).unwrap();
            // SAFETY: two views of 12 KiB of our own.
            unsafe {
                let write = core::ptr::with_exposed_provenance_mut::<u8>(first + 8192);
                write.write_volatile(7);
                let read = core::ptr::with_exposed_provenance::<u8>(second + 8192);
                assert_eq!(read.read_volatile(), 7);
                unmap(first, 3 * 4096).unwrap();
                assert_eq!(read.read_volatile(), 7);
                unmap(second, 3 * 4096).unwrap();
            }
        }
    }
}
