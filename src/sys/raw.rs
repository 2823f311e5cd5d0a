//! The system call instruction.

#[cfg(not(feature = "fault-injection"))]
use crate::sys::errno::Errno;
use crate::sys::errno::Result;

/// Calls the kernel with up to six arguments; unused ones are ignored by it.
///
/// # Safety
/// The arguments must be what `number` expects: pointers are valid for what the kernel does with
/// them, and the call's effect breaks no Rust invariant.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn syscall6(number: libc::c_long, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the instruction clobbers rcx and r11 only; the caller vouches for its effect.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => ret,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            in("r9") args[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    ret
}

/// Calls the kernel with up to six arguments; unused ones are ignored by it.
///
/// # Safety
/// The arguments must be what `number` expects: pointers are valid for what the kernel does with
/// them, and the call's effect breaks no Rust invariant.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub unsafe fn syscall6(number: libc::c_long, args: [usize; 6]) -> isize {
    let ret: isize;
    // SAFETY: the instruction clobbers x0 only; the caller vouches for its effect.
    unsafe {
        core::arch::asm!(
            "svc 0",
            inlateout("x0") args[0] => ret,
            in("x1") args[1],
            in("x2") args[2],
            in("x3") args[3],
            in("x4") args[4],
            in("x5") args[5],
            in("x8") number,
            options(nostack),
        );
    }
    ret
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("uaio: the system call instruction of this architecture is missing in sys/raw.rs");

/// [`syscall6`] with the result split; missing arguments are 0.
macro_rules! syscall {
    ($number:expr $(, $arg:expr)* $(,)?) => {
        $crate::sys::raw::checked($number, &[$($arg as usize),*])
    };
}
pub(crate) use syscall;

/// [`syscall6`] with the result split; missing arguments are 0.
///
/// # Safety
/// As [`syscall6`].
#[inline(always)]
pub unsafe fn checked(number: libc::c_long, args: &[usize]) -> Result<usize> {
    let mut all = [0; 6];
    for (slot, arg) in all.iter_mut().zip(args) {
        *slot = *arg;
    }
    #[cfg(feature = "fault-injection")]
    // SAFETY: the caller's promise.
    return unsafe { crate::sys::faults::call(number, all) };
    #[cfg(not(feature = "fault-injection"))]
    // SAFETY: the caller's promise.
    Errno::check(unsafe { syscall6(number, all) })
}
