//! The harvester: one thread that harvests for programs that do not call io_getevents, because they
//! wait on an eventfd or read the ring by themselves.
//!
//! It sleeps on an epoll instance of its own, in which the epoll instances and the io_uring
//! instances of the contexts it serves are registered. It is started for the first of them and sent
//! home with the last.
//!
//! The program may close its descriptors and those that it watches, and nobody tells it: once a
//! second it looks, makes them anew, and harvests what it cannot watch any more.
//!
//! *Locks*: `HARVESTER` is taken to start, to serve and to stop, and by the thread for that look;
//! not while somebody waits for the thread. The poller's lock may be taken inside. Submission of a
//! poll for a context that is served takes none.

use core::ffi::c_void;
use core::ptr;

use libc::{EPOLLET, EPOLLIN, epoll_event, timespec};

use crate::engine::Engine;
use crate::lock::Lock;
use crate::poller::Poller;
use crate::process::background::{self, Background};
use crate::process::fork_gate;
use crate::sys::errno::Errno;
use crate::sys::{bell, epoll, fd, poll, thread};

#[derive(Debug)]
struct Running {
    /// Which of the harvesters this process has had; not 0.
    number: u32,
    epoll: i32,
    /// Readable when the thread shall leave.
    stop: i32,
    thread: thread::Thread,
    /// What it harvests.
    served: Vec<Source>,
    /// How many of the next looks come soon: the program has closed descriptors lately.
    alert: u32,
}

static HARVESTER: Lock<Option<Running>> = Lock::new(None);

/// How often it looks whether its descriptors are still there.
const CHECK_INTERVAL_MS: i32 = 1000;
/// For so many looks after a loss it looks that often.
const ALERT_CHECKS: u32 = 50;
const ALERT_INTERVAL_MS: i32 = 20;
/// How often it harvests what it cannot watch.
const BLIND_INTERVAL_MS: i32 = 5;
const BLIND_INTERVAL: timespec =
    timespec { tv_sec: 0, tv_nsec: BLIND_INTERVAL_MS as i64 * 1_000_000 };

fn start() -> Option<Running> {
    let (epoll, stop) = epoll::create_marked().ok()?;
    let number = background::next_harvester();
    let argument = (number as usize) << 32 | epoll.raw() as usize;
    let thread = thread::spawn(reap, argument).ok()?;
    let (epoll, stop) = (epoll.into_raw(), stop.into_raw());
    Some(Running { number, epoll, stop, thread, served: Vec::new(), alert: 0 })
}

impl Running {
    fn is_intact(&self) -> bool {
        epoll::is_intact(self.epoll, self.stop)
    }

    /// The thread leaves and everything is closed. If the program has closed our descriptors,
    /// nothing wakes the thread: it finds out when it looks next, and the numbers are left alone.
    fn end(self) {
        if self.is_intact() {
            bell::ring(self.stop);
            self.thread.join();
        } else {
            self.thread.detach();
        }
        self.close();
    }

    fn close(&self) {
        if self.is_intact() {
            fd::close(self.epoll);
        }
        bell::close(self.stop);
    }

    /// Another thread takes over what it harvests, if there is one: the program has closed its
    /// descriptors, and it finds that out when it looks next.
    fn replace(&mut self) {
        let Some(next) = start() else { return };
        let lost = core::mem::replace(self, next);
        lost.close();
        lost.thread.detach();
        (self.served, self.alert) = (lost.served, ALERT_CHECKS);
        for source in &self.served {
            if let Some(background) = source.background() {
                background.attach(self.number);
                background.count_for(self.number);
            }
            self.watch(*source);
        }
    }

    /// Registers a source, if it is not there. False: it cannot be watched.
    fn watch(&self, source: Source) -> bool {
        let Some((watched, events)) = source.watched() else { return false };
        // EEXIST: another thread has lost sight of it; or it was there.
        matches!(
            epoll::add(self.epoll, watched, events, source.token()),
            Ok(()) | Err(Errno::EXIST)
        )
    }

    fn forget(&mut self, source: Source) {
        let is_it = |other: &Source| other.token() == source.token();
        if let Some(place) = self.served.iter().rposition(is_it) {
            self.served.swap_remove(place);
        }
    }

    /// The thread's look at everything: makes anew what was lost. How long to sleep until the next.
    fn look(&mut self) -> i32 {
        let mut was_lost = !self.is_intact();
        if was_lost {
            let _section = fork_gate::enter();
            if let Ok((epoll, stop)) = epoll::create_marked() {
                bell::close(self.stop);
                (self.epoll, self.stop) = (epoll.into_raw(), stop.into_raw());
            }
        }
        let mut is_blind = false;
        bell::silence(self.stop);
        self.served.retain(|source| source.has_descriptor() || source.is_in_use());
        for source in &self.served {
            if let Source::Poller(poller) = source
                && (poller.repair() || !poller.background.is_served())
            {
                poller.background.attach(self.number);
                was_lost = true;
            }
            if !self.watch(*source) {
                source.harvest();
                is_blind = true;
            }
        }
        self.alert = if was_lost { ALERT_CHECKS } else { self.alert.saturating_sub(1) };
        match (is_blind, self.alert) {
            (true, _) => BLIND_INTERVAL_MS,
            (false, 0) => CHECK_INTERVAL_MS,
            _ => ALERT_INTERVAL_MS,
        }
    }
}

/// Something that the harvester can harvest.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Polls.
    Poller(&'static Poller),
    /// Reads, writes and syncs. Where nothing tells of their completion, it is looked for.
    Engine(Engine<'static>),
}

impl Source {
    /// In all tokens, above every address: the program may have put an epoll of its own at our
    /// number, and what it has registered there is no address of ours.
    const TAG: u64 = 0xa10a << 48;
    const TAG_BITS: u64 = 0xffff << 48;

    /// What it knows of the harvester; `None`: it needs none.
    pub fn background(&self) -> Option<&Background> {
        match self {
            Source::Poller(poller) => Some(&poller.background),
            Source::Engine(engine) => engine.background(),
        }
    }

    fn token(self) -> u64 {
        let token = match self {
            // A multiple of 4, which no engine's word is.
            Source::Poller(poller) => ptr::from_ref(poller).expose_provenance(),
            Source::Engine(engine) => engine.to_word(),
        };
        token as u64 | Source::TAG
    }

    /// `None`: the token is not ours.
    fn from_token(token: u64) -> Option<Source> {
        if token & Source::TAG_BITS != Source::TAG {
            return None;
        }
        let word = (token & !Source::TAG_BITS) as usize;
        // SAFETY: `serve` made the token, as the tag shows: of an engine, or else of a `&'static
        // Poller`.
        unsafe {
            Some(match Engine::from_word(word) {
                Some(engine) => Source::Engine(engine),
                None => Source::Poller(&*ptr::with_exposed_provenance(word)),
            })
        }
    }

    /// The descriptor that tells of something to harvest, and how to wait for it.
    fn watched(self) -> Option<(i32, u32)> {
        match self {
            Source::Poller(poller) => poller.epoll().map(|epoll| (epoll, EPOLLIN as u32)),
            // Each completion wakes once, and a harvest takes all.
            Source::Engine(engine) => {
                engine.descriptor().map(|ring| (ring, (EPOLLIN | EPOLLET) as u32))
            }
        }
    }

    /// Whether there is such a descriptor, unless the program has closed it.
    fn has_descriptor(self) -> bool {
        match self {
            Source::Poller(_) => true,
            Source::Engine(engine) => engine.has_descriptor(),
        }
    }

    /// Whether there may be something to harvest, now or later.
    fn is_in_use(self) -> bool {
        match self {
            Source::Poller(_) => true,
            Source::Engine(engine) => engine.is_in_use(),
        }
    }

    fn harvest(self) {
        let Some(background) = self.background() else { return };
        background.enter(|| match self {
            Source::Poller(poller) => poller.harvest(),
            Source::Engine(engine) => engine.harvest_and_wake(),
        });
    }
}

/// Whether the harvester harvests for a source.
fn is_serving(source: Source) -> bool {
    source.background().is_none_or(Background::is_served)
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
    let watched = source.watched();
    if watched.is_none() && source.has_descriptor() {
        return false;
    }
    let mut harvester = HARVESTER.lock();
    if is_serving(source) {
        return true;
    }
    if let Some(lost) = harvester.as_mut().filter(|running| !running.is_intact()) {
        let _section = fork_gate::enter();
        lost.replace();
    }
    if harvester.is_none() {
        let _section = fork_gate::enter();
        *harvester = start();
    }
    let Some(running) = harvester.as_mut() else { return false };
    let Some(background) = source.background() else { return true };
    background.attach(running.number);
    let added = match watched {
        Some((watched, events)) => epoll::add(running.epoll, watched, events, source.token()),
        None => {
            // It looks when it wakes.
            bell::ring(running.stop);
            Ok(())
        }
    };
    match added {
        // It is there already if another thread has lost sight of it.
        Ok(()) | Err(Errno::EXIST) => {
            if background.count_for(running.number) {
                running.served.push(source);
            }
            true
        }
        Err(_) => {
            if background.is_counted_for(running.number) {
                running.forget(source);
            }
            drop(harvester);
            background.close_and_wait();
            false
        }
    }
}

/// Stops harvesting for a source; when it returns, the thread is not inside.
pub fn release(source: Source) {
    let Some(background) = source.background().filter(|background| background.is_wanted()) else {
        return;
    };
    {
        let mut harvester = HARVESTER.lock();
        if let Some(running) =
            harvester.as_mut().filter(|running| background.is_counted_for(running.number))
        {
            running.forget(source);
            if let Some((watched, _)) = source.watched() {
                let _ = epoll::delete(running.epoll, watched);
            }
        }
    }
    background.close_and_wait();
}

/// Sends the thread home if it serves nobody, and waits until it is gone.
pub fn shutdown() {
    let running = HARVESTER.lock().take_if(|running| running.served.is_empty());
    if let Some(running) = running {
        running.end();
    }
}

/// Keeps the calling harvester on the CPU of the one program thread that it works for: waking each
/// other across CPUs takes several times as long as everything else they do.
struct CpuFollower {
    cpu: u32,
    /// The token of the last source; another one in between means that there are several.
    token: u64,
}

impl CpuFollower {
    const NOWHERE: CpuFollower = CpuFollower { cpu: u32::MAX, token: 0 };

    fn follow(&mut self, source: Source) {
        let token = source.token();
        let is_same = core::mem::replace(&mut self.token, token) == token;
        if let Some(cpu) = source.background().and_then(Background::cpu)
            && is_same
            && cpu != self.cpu
        {
            self.cpu = cpu;
            thread::move_to_cpu(cpu);
        }
    }
}

/// The look of a harvester at its descriptors: which epoll it has, and how long to sleep. `None`:
/// it shall leave, another one has taken its place.
#[cold]
fn look(number: u32) -> Option<(i32, i32)> {
    let mut harvester = HARVESTER.lock();
    let running = harvester.as_mut().filter(|running| running.number == number)?;
    let pause = running.look();
    Some((running.epoll, pause))
}

extern "C" fn reap(argument: *mut c_void) -> *mut c_void {
    const BATCH: usize = 16;
    thread::name_self(c"uaio-harvester");
    // Passed on, not looked up: by the time this runs, another harvester may have been started. The
    // descriptor outlives this thread: `end` joins first.
    let (number, mut epoll) = ((argument.addr() >> 32) as u32, argument.addr() as i32);
    let mut follower = CpuFollower::NOWHERE;
    let mut ready = [epoll_event { events: 0, u64: 0 }; BATCH];
    // It may have taken the place of another one.
    let mut pause = ALERT_INTERVAL_MS;
    loop {
        let count = match epoll::wait(epoll, &mut ready, pause) {
            Ok(count @ 1..) => count,
            // Stopped and continued, or setuid in another thread.
            Err(Errno::INTR) => continue,
            // Nothing for a while, or the program has closed our descriptors.
            waited @ (Ok(0) | Err(_)) => {
                let Some((found, next)) = look(number) else { return ptr::null_mut() };
                if waited.is_err() && found == epoll {
                    // No other could be made.
                    let _ = poll::wait(&mut [], Some(&BLIND_INTERVAL), None);
                }
                (epoll, pause) = (found, next);
                continue;
            }
        };
        let mut has_others = false;
        for event in ready.iter().take(count) {
            match Source::from_token(event.u64) {
                Some(source) => {
                    source.harvest();
                    follower.follow(source);
                }
                None => has_others = true,
            }
        }
        if has_others {
            // The bell (`Running::stop`); or it is an epoll of the program's.
            let Some((found, next)) = look(number) else { return ptr::null_mut() };
            (epoll, pause) = (found, next);
        }
    }
}

/// A forked child has no harvester.
///
/// # Safety
/// No other thread exists.
pub unsafe fn reset_after_fork() {
    // SAFETY: the caller's promise.
    unsafe { HARVESTER.force_unlock() };
    // The thread does not exist here, so nobody joins it.
    if let Some(running) = HARVESTER.lock().take() {
        running.close();
        // free() is not for signal handlers.
        core::mem::forget(running);
    }
}
