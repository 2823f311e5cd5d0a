//! `syscall`, for programs that make some of their AIO calls through it (MariaDB: io_getevents).
//!
//! It precedes libc's in the look-up order. Numbers of the io_* family come here; all others go to
//! the kernel by the instruction itself, with errno set as libc does it: no frame, no lock, no
//! allocation, since signal handlers, vfork children and our own library's libc come through it
//! too.

use core::ffi::c_long;

use libc::{SYS_io_cancel, SYS_io_destroy, SYS_io_getevents, SYS_io_setup, SYS_io_submit};

use crate::abi::calls;
use crate::config;
use crate::context::{Caller, MaskArgument, Reap};
use crate::sys::errno::{Errno, Result};
use crate::sys::kaio::SYS_IO_PGETEVENTS;
use crate::sys::raw;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".pushsection .text",
    ".globl uaio_syscall",
    ".hidden uaio_syscall",
    ".type uaio_syscall,@function",
    "uaio_syscall:",
    ".cfi_startproc",
    // io_setup, io_destroy, io_getevents, io_submit, io_cancel are adjacent.
    "lea rax, [rdi - {first}]",
    "cmp rax, {last} - {first}",
    "jbe {ours}",
    "cmp rdi, {pgetevents}",
    "je {ours}",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "cmp rax, -4095",
    "jae 2f",
    "ret",
    "2:",
    "neg eax",
    "push rax",
    ".cfi_adjust_cfa_offset 8",
    "call {errno_location}",
    "pop rcx",
    ".cfi_adjust_cfa_offset -8",
    "mov [rax], ecx",
    "mov rax, -1",
    "ret",
    ".cfi_endproc",
    ".size uaio_syscall, . - uaio_syscall",
    ".popsection",
    first = const SYS_io_setup,
    last = const SYS_io_cancel,
    pgetevents = const SYS_IO_PGETEVENTS,
    ours = sym io_syscall,
    errno_location = sym libc::__errno_location,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".pushsection .text",
    ".globl uaio_syscall",
    ".hidden uaio_syscall",
    ".type uaio_syscall,@function",
    "uaio_syscall:",
    ".cfi_startproc",
    // io_setup, io_destroy, io_submit, io_cancel, io_getevents are 0 to 4.
    "cmp x0, {last}",
    "b.ls {ours}",
    "cmp x0, {pgetevents}",
    "b.eq {ours}",
    "mov x8, x0",
    "mov x0, x1",
    "mov x1, x2",
    "mov x2, x3",
    "mov x3, x4",
    "mov x4, x5",
    "mov x5, x6",
    "svc 0",
    "cmn x0, 4095",
    "b.cs 2f",
    "ret",
    "2:",
    "neg w0, w0",
    "stp x30, x0, [sp, -16]!",
    ".cfi_adjust_cfa_offset 16",
    ".cfi_rel_offset 30, 0",
    "bl {errno_location}",
    "ldp x30, x1, [sp], 16",
    ".cfi_adjust_cfa_offset -16",
    ".cfi_restore 30",
    "str w1, [x0]",
    "mov x0, -1",
    "ret",
    ".cfi_endproc",
    ".size uaio_syscall, . - uaio_syscall",
    ".popsection",
    last = const SYS_io_getevents,
    pgetevents = const SYS_IO_PGETEVENTS,
    ours = sym io_syscall,
    errno_location = sym libc::__errno_location,
);

/// What `syscall` does for the io_* family: -1 and errno on failure.
///
/// A context that is not ours is nobody's: kernel contexts could only have been made past this
/// function, so it answers EINVAL itself, also where the kernel has no AIO to ask.
unsafe extern "C" fn io_syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let result = if config::leaves_syscall() {
        // SAFETY: the caller's own system call.
        Errno::check(unsafe { raw::syscall6(number, [a, b, c, d, e, f]) })
    } else {
        call(number, [a, b, c, d, e, f])
    };
    match result {
        Ok(value) => value as c_long,
        Err(error) => {
            // SAFETY: this thread's errno.
            unsafe { *libc::__errno_location() = error.number() };
            -1
        }
    }
}

#[allow(non_upper_case_globals)] // libc's names of system calls.
fn call(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> Result<usize> {
    let reap = |mask| Reap {
        min_nr: b as c_long,
        nr: c as c_long,
        events: d,
        timeout: e,
        mask,
        caller: Caller::Raw,
    };
    match number {
        SYS_io_setup => calls::setup(a as u32, b, Caller::Raw),
        SYS_io_destroy => calls::destroy(a),
        SYS_io_submit => calls::submit(a, b as c_long, c),
        SYS_io_cancel => calls::cancel(a, b),
        SYS_io_getevents => calls::reap(a, &reap(MaskArgument::Absent)),
        _ => calls::reap(a, &reap(MaskArgument::Sized(f))),
    }
}
