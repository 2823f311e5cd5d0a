//! Our threads: made by pthread_create, so that glibc's setuid reaches them; with every signal
//! blocked, so that the program's handlers never run there; with small stacks and guard pages.

use core::ffi::{CStr, c_void};
use core::mem::MaybeUninit;

use libc::{pthread_attr_t, pthread_t, sigset_t};

use crate::sys::errno::{Errno, Result};
use crate::sys::raw::syscall;

/// Workers call nothing deep; the guard page comes on top.
const STACK: usize = 256 * 1024;

/// A running thread, to be joined.
#[derive(Clone, Copy, Debug)]
pub struct Thread(pthread_t);

// SAFETY: a pthread_t may be joined from any thread.
unsafe impl Send for Thread {}

/// What a thread runs; the argument is the one of [`spawn`], as a pointer without meaning.
pub type Entry = extern "C" fn(argument: *mut c_void) -> *mut c_void;

/// Names the calling thread, for ps and debuggers.
pub fn name_self(name: &CStr) {
    // Not pthread_setname_np, which opens a file for another thread's name.
    // SAFETY: PR_SET_NAME reads at most 16 bytes up to the NUL.
    let _: Result<usize> =
        unsafe { syscall!(libc::SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Lets other threads run.
pub fn give_way() {
    // SAFETY: no arguments.
    let _: Result<usize> = unsafe { syscall!(libc::SYS_sched_yield) };
}

/// The CPU that the calling thread is on; it may be another one at any moment.
#[inline]
pub fn current_cpu() -> Option<u32> {
    // SAFETY: no arguments. Without a system call where the C library has rseq or the vDSO.
    u32::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Moves the calling thread, which is ours, to a CPU. False: it may not be there.
pub fn move_to_cpu(cpu: u32) -> bool {
    const BITS: u32 = usize::BITS;
    let mut mask = [0usize; 1024 / BITS as usize];
    let Some(word) = mask.get_mut((cpu / BITS) as usize) else { return false };
    *word = 1 << (cpu % BITS);
    // SAFETY: the kernel reads the mask; 0 is the calling thread.
    let moved: Result<usize> =
        unsafe { syscall!(libc::SYS_sched_setaffinity, 0, size_of_val(&mask), mask.as_ptr()) };
    moved.is_ok()
}

/// Lets the calling thread end without anybody waiting for it.
pub fn detach_self() {
    // SAFETY: the callers are threads of `spawn` whose handle nobody will join.
    unsafe { libc::pthread_detach(libc::pthread_self()) };
}

/// Starts `entry(argument)` in a thread of its own. EAGAIN: the system has no room for one.
pub fn spawn(entry: Entry, argument: usize) -> Result<Thread> {
    #[cfg(feature = "fault-injection")]
    if crate::sys::faults::refuses_thread() {
        return Err(Errno::AGAIN);
    }
    let mut attr = MaybeUninit::<pthread_attr_t>::uninit();
    let mut all = MaybeUninit::<sigset_t>::uninit();
    let mut old = MaybeUninit::<sigset_t>::uninit();
    let mut thread = MaybeUninit::<pthread_t>::uninit();
    // A failing pthread_create leaves errno behind.
    // SAFETY: the address is this thread's errno for as long as the thread lives.
    let errno = unsafe { &mut *libc::__errno_location() };
    let saved = *errno;
    // SAFETY: every object is initialised by the call that first takes it and destroyed at the end.
    // The mask goes through pthread_sigmask, which leaves open the signals that glibc sends to all
    // threads for setuid: with those blocked, setuid would hang. The thread inherits the mask, so
    // that there is no moment in which it could run a handler.
    let error = unsafe {
        if libc::pthread_attr_init(attr.as_mut_ptr()) != 0 {
            return Err(Errno::NOMEM);
        }
        libc::pthread_attr_setstacksize(attr.as_mut_ptr(), STACK);
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        let error = libc::pthread_create(
            thread.as_mut_ptr(),
            attr.as_ptr(),
            entry,
            core::ptr::without_provenance_mut(argument),
        );
        libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), core::ptr::null_mut());
        libc::pthread_attr_destroy(attr.as_mut_ptr());
        error
    };
    *errno = saved;
    if error != 0 {
        return Err(Errno::AGAIN);
    }
    // SAFETY: pthread_create succeeded and wrote it.
    Ok(Thread(unsafe { thread.assume_init() }))
}

impl Thread {
    /// Lets the thread go on without anybody waiting for it.
    pub fn detach(self) {
        // SAFETY: `spawn` made it joinable, and this takes the only handle.
        unsafe { libc::pthread_detach(self.0) };
    }

    /// Waits until the thread has ended and gives its resources back.
    pub fn join(self) {
        // SAFETY: `spawn` made it joinable, and `join` takes the only handle.
        unsafe { libc::pthread_join(self.0, core::ptr::null_mut()) };
    }
}

/// The I/O priority of the calling thread; 0 is the default.
pub fn io_priority() -> u16 {
    // SAFETY: no pointer.
    unsafe { syscall!(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0) }.unwrap_or(0) as u16
}

const IOPRIO_WHO_PROCESS: usize = 1;

/// Gives what the calling thread does an I/O priority; 0 is the default. What is not allowed stays.
pub fn set_io_priority(priority: u16) {
    // SAFETY: no pointer.
    let _: Result<usize> =
        unsafe { syscall!(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) };
}
