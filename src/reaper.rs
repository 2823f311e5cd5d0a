//! The reaper: one thread that harvests polls for programs that do not call io_getevents for them,
//! because they wait on an eventfd or read the ring by themselves.
//!
//! It sleeps on an epoll instance of its own, in which the epoll instances of the contexts it serves
//! are registered. It is started for the first of them and sent home with the last context.
//!
//! *Locks*: `REAPER` is taken to start, to serve and to stop, never by the thread while it works.

use core::ffi::c_void;
use core::ptr;

use libc::{EPOLLIN, epoll_event};

use crate::poller::Poller;
use crate::sync::Lock;
use crate::sys::fd::{self, OwnedFd};
use crate::sys::{epoll, thread};

#[derive(Debug)]
struct Running {
    epoll: OwnedFd,
    /// Readable when the thread shall leave.
    stop: OwnedFd,
    thread: thread::Thread,
    /// Contexts that it harvests for.
    served: u32,
}

static REAPER: Lock<Option<Running>> = Lock::new(None);

/// Token of `Running::stop`; no poller is at address 0.
const STOP: u64 = 0;

fn start() -> Option<Running> {
    let epoll = epoll::create().ok()?;
    let stop = fd::eventfd().ok()?;
    epoll::add(epoll.raw(), stop.raw(), EPOLLIN as u32, STOP).ok()?;
    let thread = thread::spawn(reap, epoll.raw() as usize).ok()?;
    Some(Running { epoll, stop, thread, served: 0 })
}

/// Takes over the harvest for a poller. False: there is no descriptor or thread for it; the callers
/// of io_getevents go on harvesting.
pub fn serve(poller: &'static Poller) -> bool {
    let Ok(watched) = poller.prepare() else { return false };
    let mut reaper = REAPER.lock();
    if poller.is_background() {
        return true;
    }
    if reaper.is_none() {
        *reaper = start();
    }
    let Some(running) = reaper.as_mut() else { return false };
    poller.set_background();
    let token = ptr::from_ref(poller).expose_provenance() as u64;
    if epoll::add(running.epoll.raw(), watched, EPOLLIN as u32, token).is_err() {
        poller.shut();
        return false;
    }
    running.served += 1;
    true
}

/// Stops harvesting for a poller; when it returns, the thread is not inside.
pub fn release(poller: &Poller) {
    let mut reaper = REAPER.lock();
    if !poller.is_background() {
        return;
    }
    if let Some(running) = reaper.as_mut() {
        running.served -= 1;
        if let Some(watched) = poller.epoll() {
            let _ = epoll::delete(running.epoll.raw(), watched);
        }
    }
    drop(reaper);
    poller.shut();
}

/// Sends the thread home if it serves nobody, and waits until it is gone.
pub fn retire() {
    let running = {
        let mut reaper = REAPER.lock();
        match reaper.as_ref() {
            Some(running) if running.served == 0 => reaper.take(),
            _ => None,
        }
    };
    if let Some(running) = running {
        fd::eventfd_signal(running.stop.raw());
        running.thread.join();
    }
}

extern "C" fn reap(epoll: *mut c_void) -> *mut c_void {
    const BATCH: usize = 16;
    thread::name_self(c"uaio-reaper");
    // Passed on, not looked up: by the time this runs, another reaper may have been started. The
    // descriptor outlives this thread: `retire` joins first.
    let epoll = epoll.addr() as i32;
    let mut ready = [epoll_event { events: 0, u64: 0 }; BATCH];
    loop {
        let Ok(count) = epoll::wait(epoll, &mut ready, -1) else { return ptr::null_mut() };
        for event in ready.iter().take(count) {
            if event.u64 == STOP {
                return ptr::null_mut();
            }
            // SAFETY: `serve` passed a `&'static Poller`.
            let poller: &'static Poller =
                unsafe { &*ptr::with_exposed_provenance(event.u64 as usize) };
            poller.visit();
        }
    }
}

/// A forked child has no reaper.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe { REAPER.force_unlock() };
    // Closes the child's descriptors; the thread does not exist here, so nobody joins it.
    drop(REAPER.lock().take());
}
