//! Mappings.

use libc::{
    MADV_DONTFORK, MADV_REMOVE, MADV_WIPEONFORK, MAP_ANONYMOUS, MAP_FAILED, MAP_NORESERVE,
    MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE, PROT_NONE, PROT_READ, PROT_WRITE, SYS_madvise,
    SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_process_vm_readv, c_int, iovec,
};

use crate::sys::errno::{Errno, Result};
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

/// Zeroed memory that [`mirror`] can map a second time, without a file descriptor.
pub fn shared(len: usize) -> Result<usize> {
    map(0, len, Protection::ReadWrite, MAP_SHARED | MAP_NORESERVE)
}

/// A second mapping of memory that came from [`shared`].
pub fn mirror(addr: usize, len: usize) -> Result<usize> {
    // mm/mremap.c: an old size of 0 duplicates a shared mapping and leaves the old one in place.
    // SAFETY: only a new mapping is made.
    unsafe { syscall!(SYS_mremap, addr, 0, len, MREMAP_MAYMOVE) }
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

/// Keeps a forked child from inheriting the range.
pub fn dont_fork(addr: usize, len: usize) -> Result<()> {
    // SAFETY: no effect in this process.
    unsafe { syscall!(SYS_madvise, addr, len, MADV_DONTFORK) }.map(|_| ())
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
    let copied = unsafe {
        syscall!(SYS_process_vm_readv, pid, &raw const local, 1, &raw const remote, 1, 0)
    }?;
    if copied == len { Ok(value) } else { Err(Errno::FAULT) }
}
