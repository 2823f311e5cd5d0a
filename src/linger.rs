//! Programs that make and destroy their only context again and again.
//!
//! The last io_destroy gives everything back: descriptors, threads, mappings. If the next io_setup
//! follows at once, and so on, that is a waste: making an io_uring instance takes longer than all the
//! rest. So after some rounds the memory and the instance stay for the next one, and a thread is
//! started that gives them back when no round has come for a moment, and leaves.
//!
//! *Orderings*: everything is relaxed; who keeps and who gives back hold the registry's lock.

use core::ffi::c_void;
use core::ptr;

use libc::timespec;

use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::sys::{clock, futex, thread};

/// Rounds that follow each other closely before anything is kept.
const ROUNDS: u32 = 8;
/// How closely.
const CLOSE: u64 = 20_000_000;
/// How long things are kept.
const MOMENT: timespec = timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Rounds so far.
static ROUND: AtomicU32 = AtomicU32::new(0);
/// When the last one ended, in nanoseconds since boot.
static ENDED: AtomicU64 = AtomicU64::new(0);
/// The thread is there.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);
/// What it calls: gives back what is kept if there is no context, and tells whether it is done.
static GIVE_BACK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

fn now() -> u64 {
    let now = clock::now();
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The last context goes: whether what it leaves is to be kept. Then `give_back` is called later, in a
/// thread of ours, which no lock of the caller's may keep waiting for long.
pub fn keeps(give_back: fn()) -> bool {
    let now = now();
    let is_close = now.saturating_sub(ENDED.swap(now, Ordering::Relaxed)) < CLOSE;
    let rounds = if is_close { ROUND.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
    ROUND.store(rounds, Ordering::Relaxed);
    if rounds < ROUNDS {
        return false;
    }
    GIVE_BACK.store(give_back as *mut c_void, Ordering::Relaxed);
    if IS_WATCHED.swap(true, Ordering::Relaxed) {
        return true;
    }
    match thread::spawn(watch, 0) {
        Ok(thread) => {
            thread.detach();
            true
        }
        Err(_) => {
            IS_WATCHED.store(false, Ordering::Relaxed);
            false
        }
    }
}

/// Whether the thread has to come again. Under the lock under which [`keeps`] is called.
pub fn is_too_early() -> bool {
    let age = now().saturating_sub(ENDED.load(Ordering::Relaxed));
    let is_early = age < MOMENT.tv_nsec as u64;
    if !is_early {
        IS_WATCHED.store(false, Ordering::Relaxed);
    }
    is_early
}

extern "C" fn watch(_: *mut c_void) -> *mut c_void {
    static NEVER: AtomicU32 = AtomicU32::new(0);
    thread::name_self(c"uaio-linger");
    loop {
        let _ = futex::wait_until(&NEVER, 0, Some(&clock::after(&MOMENT)));
        let give_back = GIVE_BACK.load(Ordering::Relaxed);
        // SAFETY: `keeps` stored a `fn()` before it started this thread.
        let give_back: fn() = unsafe { core::mem::transmute(give_back) };
        give_back();
        if !IS_WATCHED.load(Ordering::Relaxed) {
            return ptr::null_mut();
        }
    }
}

/// A forked child has no such thread.
pub fn reset_after_fork() {
    IS_WATCHED.store(false, Ordering::Relaxed);
    ROUND.store(0, Ordering::Relaxed);
}
