//! Instances between two contexts, and what all instances share.
//!
//! Some are kept, without a descriptor or a thread. Those beyond are destroyed by a thread that is
//! there for nothing else, because that takes 30 ms each; without a thread, by the caller.

use core::ffi::c_void;

use crate::config::{self, Choice};
use crate::kaio::{Instance, RESERVED};
use crate::lock::Lock;
use crate::process::fork_gate;
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd};
use crate::sys::file_info::Identity;
use crate::sys::thread;

/// The most instances that wait, and what they are charged with at most.
const MAX_CACHED: usize = 16;
const MAX_CACHED_CHARGE: u32 = 1024;

static CACHE: Lock<[Option<Box<Instance>>; MAX_CACHED]> = Lock::new([const { None }; MAX_CACHED]);
/// Instances that shall be destroyed; and whether a thread does it.
static SURPLUS: Lock<(Vec<Instance>, bool)> = Lock::new((Vec::new(), false));
/// What all instances are charged with.
static CHARGED: AtomicU32 = AtomicU32::new(0);
/// The kernel has no AIO, or a sandbox forbids it.
static IS_REFUSED: AtomicBool = AtomicBool::new(false);

/// The end of a pipe that kicks read from, and what it is.
static HAS_PIPE: AtomicBool = AtomicBool::new(false);
static PIPE: Lock<Option<(OwnedFd, Identity)>> = Lock::new(None);

/// Whether the kernel's AIO may work in this process.
#[inline]
pub fn may_work() -> bool {
    !IS_REFUSED.load(Ordering::Relaxed) && config::kernel() != Choice::Excluded
}

/// Notes that it is forbidden from now on.
pub fn refuse() {
    IS_REFUSED.store(true, Ordering::Relaxed);
}

/// What the instances of this process are charged with, of fs.aio-max-nr.
pub fn charged() -> u64 {
    u64::from(CHARGED.load(Ordering::Relaxed))
}

/// An instance with room for `capacity` requests, or the smallest one for 0. ENOSYS: there are none
/// for good; EAGAIN: there is no room on the host.
pub fn acquire(capacity: u32) -> Result<Box<Instance>> {
    let is_fit = |kept: &Instance| kept.capacity() >= capacity;
    if let Some(kept) = take(is_fit) {
        return Ok(kept);
    }
    // The kernel makes a ring for twice as many as it is charged with, and for some at least.
    let charge = match capacity {
        0 => 1,
        _ => (capacity + RESERVED).div_ceil(2),
    };
    let made = make(charge)?;
    match made.capacity() >= capacity {
        true => Ok(made),
        false => {
            release(made);
            Err(Errno::AGAIN)
        }
    }
}

/// An instance made for `requested` events, or one like it: the ring has `nr` slots. Errors: as for
/// [`acquire`]; EINVAL: the kernel makes others.
pub fn acquire_exact(requested: u32, nr: u32) -> Result<Box<Instance>> {
    if let Some(kept) = take(|kept| kept.nr() == nr) {
        return Ok(kept);
    }
    let made = make(requested)?;
    if made.nr() == nr {
        return Ok(made);
    }
    release(made);
    Err(Errno::INVAL)
}

fn take(mut is_fit: impl FnMut(&Instance) -> bool) -> Option<Box<Instance>> {
    let mut is_fit = |kept: &Instance| is_fit(kept) && kept.is_idle();
    let kept = CACHE.lock().iter_mut().find_map(|kept| kept.take_if(|kept| is_fit(kept)));
    kept.or_else(|| {
        let mut surplus = SURPLUS.lock();
        let place = surplus.0.iter().position(&mut is_fit)?;
        Some(Box::new(surplus.0.swap_remove(place)))
    })
}

fn make(charge: u32) -> Result<Box<Instance>> {
    match Instance::new(charge) {
        Ok(instance) => Ok(Box::new(instance)),
        Err(error @ (Errno::AGAIN | Errno::NOMEM)) => Err(error),
        Err(_) => {
            refuse();
            Err(Errno::NOSYS)
        }
    }
}

/// An instance is made.
pub(super) fn charge(count: u32) {
    CHARGED.fetch_add(count, Ordering::Relaxed);
}

/// An instance is gone.
pub(super) fn give_back(count: u32) {
    CHARGED.fetch_sub(count, Ordering::Relaxed);
}

/// Takes an instance back. If it is not known to be idle, the kernel sees to the rest.
pub fn release(instance: Box<Instance>) {
    let mut surplus = Some(instance);
    if surplus.as_ref().is_some_and(|instance| instance.is_idle()) {
        let mut cache = CACHE.lock();
        let charge: u32 = cache.iter().flatten().chain(&surplus).map(|kept| kept.charge).sum();
        if charge <= MAX_CACHED_CHARGE
            && let Some(place) = cache.iter_mut().find(|place| place.is_none())
        {
            *place = surplus.take();
        }
    }
    if let Some(instance) = surplus {
        discard(*instance);
    }
}

/// Has an instance destroyed, without waiting for that where a thread can.
pub fn discard(instance: Instance) {
    let is_running = {
        let mut surplus = SURPLUS.lock();
        surplus.0.push(instance);
        core::mem::replace(&mut surplus.1, true)
    };
    if is_running {
        return;
    }
    match thread::spawn(destroy_surplus, 0) {
        Ok(thread) => thread.detach(),
        Err(_) => {
            destroy_surplus(core::ptr::null_mut());
        }
    }
}

extern "C" fn destroy_surplus(_: *mut c_void) -> *mut c_void {
    loop {
        let next = {
            let mut surplus = SURPLUS.lock();
            let next = surplus.0.pop();
            surplus.1 = next.is_some();
            next
        };
        match next {
            Some(instance) => drop(instance),
            None => return core::ptr::null_mut(),
        }
    }
}

/// The descriptor that kicks read from.
pub(super) fn pipe() -> Option<i32> {
    if let Some((out, _)) = PIPE.lock().as_ref() {
        return Some(out.raw());
    }
    // Before the lock: a section waits for forks, and a fork for sections.
    let _section = fork_gate::enter();
    let mut pipe = PIPE.lock();
    if pipe.is_none() {
        let (out, _into) = fd::pipe().ok()?;
        let out = out.raised();
        let identity = Identity::of(out.raw()).ok()?;
        *pipe = Some((out, identity));
        HAS_PIPE.store(true, Ordering::Relaxed);
    }
    pipe.as_ref().map(|(out, _)| out.raw())
}

/// Whether sleepers can be kicked: there is a descriptor for it, or one was made.
#[inline]
pub fn can_kick() -> bool {
    HAS_PIPE.load(Ordering::Relaxed) || pipe().is_some()
}

/// Another one in place of `lost`, which the program has closed or replaced. False: there is none,
/// or it has not.
pub(super) fn renew_pipe(lost: i32) -> bool {
    let is_lost = |out: &OwnedFd, it: &Identity| out.raw() == lost && !it.is_behind(lost);
    let taken = PIPE.lock().take_if(|(out, identity)| is_lost(out, identity));
    let was_lost = taken.map(|(out, _)| out.into_raw()).is_some();
    if was_lost {
        HAS_PIPE.store(false, Ordering::Relaxed);
    }
    pipe().is_some_and(|number| was_lost || number != lost)
}

/// Closes the descriptor: there is no context left.
pub fn close_pipe() {
    let _section = fork_gate::enter();
    HAS_PIPE.store(false, Ordering::Relaxed);
    let pipe = PIPE.lock().take();
    if let Some((out, identity)) = pipe
        && !identity.is_behind(out.raw())
    {
        // The program's by now.
        let _ = out.into_raw();
    }
}

/// A forked child has no instances: the kernel does not let it use its parent's.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe {
        CACHE.force_unlock();
        SURPLUS.force_unlock();
        PIPE.force_unlock();
    }
    CHARGED.store(0, Ordering::Relaxed);
    // Not dropped: io_destroy is not for them, and free() is not for signal handlers.
    for kept in CACHE.lock().iter_mut() {
        core::mem::forget(kept.take());
    }
    let mut surplus = SURPLUS.lock();
    core::mem::forget(core::mem::take(&mut surplus.0));
    surplus.1 = false;
    drop(surplus);
    HAS_PIPE.store(false, Ordering::Relaxed);
    if let Some((out, identity)) = PIPE.lock().take() {
        let number = out.into_raw();
        if identity.is_behind(number) {
            fd::close(number);
        }
    }
}
