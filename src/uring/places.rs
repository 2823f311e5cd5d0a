//! Where a thread has registered instances, so that it enters them by a number that the program
//! cannot close or replace, and without a look at the table of descriptors.
//!
//! A thread registers an instance when it first enters it, if there is room; else it uses the
//! descriptor and looks whether it is still ours. A registration holds the instance until the
//! thread ends or comes by after the instance was closed.

use core::cell::Cell;

use crate::process::fork_generation;
use crate::sync::{AtomicU64, Ordering, thread_local};
use crate::sys::errno::{Errno, Result};
use crate::sys::thread;
use crate::sys::uring::{self, Name};
use crate::uring::Instance;

/// Half of what the kernel lets a thread have: the program may register its own.
const PLACES: usize = 8;
/// Entries of another instance before one gives up its place.
const MAX_MISSES: u32 = 16;
const UNREGISTERED: u32 = u32::MAX;

struct RingRegistration {
    /// Id of the instance; 0 for none.
    id: Cell<u64>,
    /// The kernel's number for it, or [`UNREGISTERED`].
    number: Cell<u32>,
    /// Entries of others that it outlasts.
    patience: Cell<u32>,
}

struct Places {
    places: [RingRegistration; PLACES],
    /// [`CLOSED`] when this thread last looked.
    closed: Cell<u64>,
    /// CPU + 1 of the kernel's workers for this thread; 0: they may be anywhere.
    workers: Cell<u32>,
}

/// Instances that were closed.
static CLOSED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static PLACES_OF_THREAD: Places = const {
        Places {
            places: [const {
                RingRegistration { id: Cell::new(0), number: Cell::new(UNREGISTERED), patience: Cell::new(0) }
            }; PLACES],
            closed: Cell::new(0),
            workers: Cell::new(0),
        }
    };
}

impl RingRegistration {
    fn clear(&self) {
        self.id.set(0);
        let number = self.number.replace(UNREGISTERED);
        if number != UNREGISTERED {
            let _ = uring::unregister_ring(number);
        }
    }
}

impl Places {
    fn of(&self, id: u64) -> Option<&RingRegistration> {
        self.places.get(id as usize % PLACES)
    }
}

/// An instance was closed: registrations of it shall go.
pub(super) fn closed() {
    CLOSED.fetch_add(1, Ordering::Relaxed);
}

/// Calls `place` with the CPU of the calling thread, if its workers are not there.
pub(super) fn keep_io_wq_near(place: impl FnOnce(u32) -> bool) {
    let Some(cpu) = thread::current_cpu() else { return };
    PLACES_OF_THREAD.with(|places| {
        if places.workers.replace(cpu + 1) != cpu + 1 && !place(cpu) {
            places.workers.set(0);
        }
    });
}

/// A forked child, whose only thread this is, has registered nothing.
pub(super) fn reset_after_fork() {
    PLACES_OF_THREAD.with(|places| {
        for place in &places.places {
            place.id.set(0);
            place.number.set(UNREGISTERED);
        }
        places.workers.set(0);
    });
}

/// Lets go of the calling thread's registration of an instance.
pub(super) fn forget(instance: &Instance) {
    PLACES_OF_THREAD.with(|places| {
        if let Some(place) = places.of(instance.id).filter(|place| place.id.get() == instance.id) {
            place.clear();
        }
    });
}

/// How the calling thread names an instance. EBADF: the program has closed or replaced the
/// descriptor.
#[inline]
pub(super) fn name(instance: &Instance) -> Result<Name> {
    PLACES_OF_THREAD.with(|places| {
        if let Some(place) = places.of(instance.id)
            && place.id.get() == instance.id
            && place.number.get() != UNREGISTERED
            && places.closed.get() == CLOSED.load(Ordering::Relaxed)
        {
            return Ok(Name::Registered(place.number.get()));
        }
        look_up(places, instance)
    })
}

#[cold]
fn look_up(places: &Places, instance: &Instance) -> Result<Name> {
    let closed = CLOSED.load(Ordering::Relaxed);
    if places.closed.replace(closed) != closed {
        for place in &places.places {
            if place.id.get() != instance.id {
                place.clear();
            }
        }
    }
    let descriptor = Name::Descriptor(instance.descriptor());
    let Some(place) = places.of(instance.id) else { return Ok(descriptor) };
    let is_its = place.id.get() == instance.id;
    if is_its && place.number.get() != UNREGISTERED {
        return Ok(Name::Registered(place.number.get()));
    }
    if !instance.is_ours() {
        return Err(Errno::BADF);
    }
    if !is_its {
        // Another one keeps the place as long as it is used more often.
        let patience = place.patience.get();
        if patience > 0 && place.number.get() != UNREGISTERED {
            place.patience.set(patience - 1);
            return Ok(descriptor);
        }
        place.clear();
        place.id.set(instance.id);
    }
    // Registrations belong to the task; a child of vfork has the same variables.
    if !instance.can_register() || fork_generation::is_other_process() {
        return Ok(descriptor);
    }
    place.patience.set(MAX_MISSES);
    match uring::register_ring(instance.descriptor()) {
        Ok(number) => {
            place.number.set(number);
            Ok(Name::Registered(number))
        }
        Err(_) => Ok(descriptor),
    }
}
