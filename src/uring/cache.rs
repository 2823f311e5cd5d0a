//! Instances between two contexts: making one takes longer than everything else in io_setup and
//! io_destroy. The last io_destroy closes them.

use crate::lock::Lock;
use crate::process::fork_gate::{self, Section};
use crate::sync::Ordering;
use crate::sys::errno::{Errno, Result};
use crate::uring::{Instance, LIVE, is_refusal, may_work, places, refuse};

/// The most instances that wait.
const MAX_CACHED: usize = 16;

static CACHE: Lock<[Option<Box<Instance>>; MAX_CACHED]> = Lock::new([const { None }; MAX_CACHED]);

/// An instance with `completions` entries in its completion queue ([`super::completions_for`]),
/// which the caller notes before the section ends.
///
/// ENOSYS: io_uring is refused for good; other errors: not now.
pub fn acquire(completions: u32, _section: &Section) -> Result<Box<Instance>> {
    if !may_work() {
        return Err(Errno::NOSYS);
    }
    while let Some(instance) = take(completions) {
        if instance.is_ours() {
            return Ok(instance);
        }
        drop(instance);
    }
    Instance::new(completions).map(Box::new).map_err(|error| {
        if is_refusal(error) || error == Errno::INVAL {
            refuse();
            return Errno::NOSYS;
        }
        error
    })
}

/// One that waits, if it will do.
fn take(completions: u32) -> Option<Box<Instance>> {
    let is_fit = |kept: &mut Box<Instance>| kept.params.cq_entries == completions;
    CACHE.lock().iter_mut().find_map(|kept| kept.take_if(is_fit))
}

/// Takes an instance back in which nothing is in flight.
pub fn release(instance: Box<Instance>, _section: &Section) {
    if !instance.is_broken() {
        instance.harvest(|_| {});
        // A registration would hold it beyond its end.
        places::forget(&instance);
        let mut cache = CACHE.lock();
        if let Some(place) = cache.iter_mut().find(|place| place.is_none()) {
            *place = Some(instance);
            return;
        }
    }
    drop(instance);
}

/// Closes all that wait: there is no context left.
pub fn clear() {
    let _section = fork_gate::enter();
    loop {
        let Some(instance) = CACHE.lock().iter_mut().find_map(Option::take) else { return };
        drop(instance);
    }
}

/// A forked child has none.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe { CACHE.force_unlock() };
    LIVE.store(0, Ordering::Relaxed);
    places::reset_after_fork();
    for kept in CACHE.lock().iter_mut() {
        if let Some(instance) = kept.take() {
            instance.close_after_fork();
            // Not dropped: its mappings are not there, and free() is not for signal handlers.
            core::mem::forget(instance);
        }
    }
}
