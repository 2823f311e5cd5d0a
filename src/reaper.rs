//! The reaper: one thread that harvests for programs that do not call io_getevents, because they wait
//! on an eventfd or read the ring by themselves.
//!
//! It sleeps on an epoll instance of its own, in which the epoll instances and the io_uring instances
//! of the contexts it serves are registered. It is started for the first of them and sent home with
//! the last. If the program closes its descriptors, another one takes its place.
//!
//! *Locks*: `REAPER` is taken to start, to serve and to stop, never by the thread while it works.
//! Submission of a poll for a context that is served takes none.

use core::ffi::c_void;
use core::ptr;

use libc::{EPOLLET, EPOLLIN, epoll_event};

use crate::engine::uring::Uring;
use crate::fork_gate;
use crate::poller::Poller;
use crate::service::{self, Service};
use crate::sync::Lock;
use crate::sys::errno::Errno;
use crate::sys::fd::{self, OwnedFd};
use crate::sys::{epoll, thread};

#[derive(Debug)]
struct Running {
    /// Which of the reapers this process has had; not 0.
    number: u32,
    epoll: i32,
    /// Readable when the thread shall leave.
    stop: i32,
    thread: thread::Thread,
    /// Sources that it harvests.
    served: u32,
}

static REAPER: Lock<Option<Running>> = Lock::new(None);

fn start() -> Option<Running> {
    let (epoll, stop) = epoll::create_marked().ok()?;
    let number = service::next_reaper();
    let argument = (number as usize) << 32 | epoll.raw() as usize;
    let thread = thread::spawn(reap, argument).ok()?;
    Some(Running { number, epoll: epoll.into_raw(), stop: stop.into_raw(), thread, served: 0 })
}

impl Running {
    fn is_intact(&self) -> bool {
        epoll::is_intact(self.epoll, self.stop)
    }

    /// The thread leaves and everything is closed. If the program has closed our descriptors, nothing
    /// can wake the thread: it sleeps until the process ends, and the numbers are left alone.
    fn end(self) {
        if self.is_intact() {
            fd::eventfd_signal(self.stop);
            self.thread.join();
            drop((OwnedFd::from_raw(self.epoll), OwnedFd::from_raw(self.stop)));
        } else {
            self.thread.detach();
        }
    }
}

/// Something that the reaper can harvest.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Polls.
    Poller(&'static Poller),
    /// Reads, writes and syncs in io_uring.
    Uring(&'static Uring),
}

impl Source {
    /// In the token of an [`Uring`]; addresses are even.
    const IS_URING: usize = 1;

    fn service(self) -> &'static Service {
        match self {
            Source::Poller(poller) => &poller.service,
            Source::Uring(uring) => &uring.service,
        }
    }

    fn token(self) -> u64 {
        let token = match self {
            Source::Poller(poller) => ptr::from_ref(poller).expose_provenance(),
            Source::Uring(uring) => ptr::from_ref(uring).expose_provenance() | Source::IS_URING,
        };
        token as u64
    }

    fn from_token(token: u64) -> Source {
        let address = token as usize & !Source::IS_URING;
        match token as usize & Source::IS_URING {
            // SAFETY: `serve` made the token from a `&'static Poller`.
            0 => Source::Poller(unsafe { &*ptr::with_exposed_provenance(address) }),
            // SAFETY: `serve` made the token from a `&'static Uring`.
            _ => Source::Uring(unsafe { &*ptr::with_exposed_provenance(address) }),
        }
    }

    /// The descriptor that tells of something to harvest, and how to wait for it.
    fn watched(self) -> Option<(i32, u32)> {
        match self {
            Source::Poller(poller) => poller.epoll().map(|epoll| (epoll, EPOLLIN as u32)),
            // Each completion wakes once, and a harvest takes all.
            Source::Uring(uring) => {
                uring.descriptor().map(|ring| (ring, (EPOLLIN | EPOLLET) as u32))
            }
        }
    }

    fn harvest(self) {
        match self {
            Source::Poller(poller) => poller.service.visit(|| poller.harvest()),
            Source::Uring(uring) => uring.service.visit(|| uring.harvest_and_tell()),
        }
    }
}

/// Whether the reaper harvests for a source.
fn is_serving(source: Source) -> bool {
    source.service().is_served()
}

/// Takes over the harvest for a source. False: there is no descriptor or thread for it.
#[inline]
pub fn serve(source: Source) -> bool {
    is_serving(source) || begin(source)
}

#[cold]
fn begin(source: Source) -> bool {
    if let Source::Poller(poller) = source {
        poller.repair();
        if poller.prepare().is_err() {
            return false;
        }
    }
    let Some((watched, events)) = source.watched() else { return false };
    let mut reaper = REAPER.lock();
    if is_serving(source) {
        return true;
    }
    if let Some(lost) = reaper.take_if(|running| !running.is_intact()) {
        lost.end();
    }
    if reaper.is_none() {
        let _section = fork_gate::enter();
        *reaper = start();
    }
    let Some(running) = reaper.as_mut() else { return false };
    let service = source.service();
    service.begin(running.number);
    match epoll::add(running.epoll, watched, events, source.token()) {
        // It is there already if another thread has lost sight of it.
        Ok(()) | Err(Errno::EXIST) => {
            if service.count_for(running.number) {
                running.served += 1;
            }
            true
        }
        Err(_) => {
            if service.is_counted_for(running.number) {
                running.served -= 1;
            }
            drop(reaper);
            service.shut();
            false
        }
    }
}

/// Stops harvesting for a source; when it returns, the thread is not inside.
pub fn release(source: Source) {
    let service = source.service();
    if !service.is_background() {
        return;
    }
    {
        let mut reaper = REAPER.lock();
        if let Some(running) =
            reaper.as_mut().filter(|running| service.is_counted_for(running.number))
        {
            running.served -= 1;
            if let Some((watched, _)) = source.watched() {
                let _ = epoll::delete(running.epoll, watched);
            }
        }
    }
    service.shut();
}

/// Sends the thread home if it serves nobody, and waits until it is gone.
pub fn retire() {
    let running = REAPER.lock().take_if(|running| running.served == 0);
    if let Some(running) = running {
        running.end();
    }
}

/// Keeps the calling reaper on the CPU of the one program thread that it works for: waking each other
/// across CPUs takes several times as long as everything else they do.
struct Place {
    cpu: u32,
    /// The token of the last source; another one in between means that there are several.
    token: u64,
}

impl Place {
    const NOWHERE: Place = Place { cpu: u32::MAX, token: 0 };

    fn follow(&mut self, token: u64) {
        let is_same = core::mem::replace(&mut self.token, token) == token;
        if let Some(cpu) = Source::from_token(token).service().cpu()
            && is_same
            && cpu != self.cpu
        {
            self.cpu = cpu;
            thread::move_to_cpu(cpu);
        }
    }
}

extern "C" fn reap(argument: *mut c_void) -> *mut c_void {
    const BATCH: usize = 16;
    thread::name_self(c"uaio-reaper");
    // Passed on, not looked up: by the time this runs, another reaper may have been started. The
    // descriptor outlives this thread: `end` joins first.
    let (number, epoll) = ((argument.addr() >> 32) as u32, argument.addr() as i32);
    let mut place = Place::NOWHERE;
    let mut ready = [epoll_event { events: 0, u64: 0 }; BATCH];
    loop {
        let count = match epoll::wait(epoll, &mut ready, -1) {
            Ok(count) => count,
            // Stopped and continued, or setuid in another thread.
            Err(Errno::INTR) => continue,
            // The program has closed our descriptors.
            Err(_) => {
                service::reaper_has_ended(number);
                return ptr::null_mut();
            }
        };
        for event in ready.iter().take(count) {
            // `Running::stop`; no poller is at this address.
            if event.u64 == epoll::MARK {
                return ptr::null_mut();
            }
            Source::from_token(event.u64).harvest();
            place.follow(event.u64);
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
    // The thread does not exist here, so nobody joins it.
    if let Some(running) = REAPER.lock().take() {
        drop((OwnedFd::from_raw(running.epoll), OwnedFd::from_raw(running.stop)));
    }
}
