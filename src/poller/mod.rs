//! Polls that wait for readiness, on epoll: where the kernel's AIO does not take them, and in
//! contexts that are completed in the background.
//!
//! A context has one epoll instance, made for its first poll that is not ready. The program's own
//! descriptor numbers are registered, one-shot, and the registration is kept for the next poll on
//! the same number: changing it (MOD) costs a fraction of making a new one. The file itself is
//! held while a poll is armed, by a duplicate or without one (`hold`), so that close() neither
//! loses the poll nor shows the peer an end of file.
//!
//! A number may come to mean another file at any time, so a kept registration is never trusted:
//! - MOD on a number whose file is not registered fails with ENOENT: then ADD.
//! - Polls that are armed at the same time share the registration of their number only if kcmp says
//!   that the number still means their file. A poll that must not share is registered under the
//!   number of its own pin (*private*), which nobody else can take over.
//! - A registration that cannot be reached any more may fire once. Its token is out of date, and
//!   the event is dropped.
//!
//! The program may close our descriptors too ("close everything above 2"): then a new epoll
//! instance takes over, and what stands under our numbers is left alone.
//!
//! Events are harvested by threads in io_getevents ([`leader`]); or by the harvester, once the
//! poller is in background mode.
//!
//! divergence: a child of clone(CLONE_VM) without CLONE_FILES that polls anything but a signalfd:
//! our descriptors end with it, and its polls with EBADF or never.
//!
//! *Locks*: `table` protects registrations and the lists of armed requests. A request is claimed
//! under it and completed after it is released. epoll_ctl does not block.

mod hold;
pub mod leader;
mod table;

use core::ptr;

use bytemuck::Zeroable;
use libc::epoll_event;

use crate::completion::{Completions, CompletionsRef};
use crate::lock::Lock;
use crate::poller::table::{Table, Visit};
use crate::process::background::Background;
use crate::process::fork_gate;
use crate::request::Request;
use crate::request::list::List;
use crate::request::state::Claim;
use crate::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::sys::atomic_fd::AtomicFd;
use crate::sys::errno::{Errno, Result};
use crate::sys::{bell, epoll, fd};
use crate::uring::files::FileTable;

/// See the module. All-zero memory is a poller that never polled.
#[derive(Debug, Zeroable)]
pub struct Poller {
    /// None before the first poll.
    epoll: AtomicFd,
    /// How many there have been.
    made: AtomicU32,
    /// Bell that gets the leading waiter out of its sleep.
    kick: AtomicFd,
    table: Lock<Table, true>,
    /// Polls that are armed.
    armed: AtomicU32,
    /// The waiter that sleeps on the epoll (`leader`); 0: none. And how many there have been.
    leader: AtomicU32,
    last_term: AtomicU32,
    /// Holds files of armed polls (`hold`); null before the first batch of polls.
    files: AtomicPtr<FileTable>,
    /// Polls that came alone or nearly so, up to `hold::SINGLES`.
    singles: AtomicU32,
    /// Making the table was tried.
    has_no_files: AtomicBool,
    /// Polls of this context are not ready as a rule when they are submitted.
    expects_wait: AtomicBool,
    /// The harvester harvests, or does not.
    pub background: Background,
    completions: CompletionsRef,
}

/// How often a loss of descriptors is made good in one call.
const MAX_REPAIRS: usize = 8;

impl Poller {
    /// Says where the events go.
    pub fn open(&self, completions: &'static Completions) {
        self.completions.set(completions);
        self.leader.store(0, Ordering::Relaxed);
        self.background.reset();
    }

    fn completions(&self) -> &'static Completions {
        self.completions.get()
    }

    fn visit(&self, epoll: i32) -> Visit<'_> {
        let slab = &self.completions().slab;
        Visit {
            slab,
            files: self.files(),
            epoll,
            kick: self.kick().unwrap_or(-1),
            is_submission: false,
            unlisted: 0,
            done: List::EMPTY,
        }
    }

    /// Ends a visit, under the lock still.
    fn leave(&self, visit: &Visit<'_>) -> List {
        if visit.unlisted > 0 {
            self.armed.fetch_sub(visit.unlisted, Ordering::Relaxed);
        }
        visit.done
    }

    /// Descriptor of the epoll instance, if there is one.
    pub fn epoll(&self) -> Option<i32> {
        // Acquire: pairs with the Release in `make`: all that belongs to the instance is there.
        self.epoll.get(Ordering::Acquire)
    }

    /// The same, and which one it is of those that the context has had.
    pub fn numbered_epoll(&self) -> Option<(i32, u32)> {
        // Before the descriptor: the other way round a new one might get the number of the old one.
        let made = self.made.load(Ordering::Relaxed);
        self.epoll().map(|epoll| (epoll, made))
    }

    /// Descriptor of the bell that wakes the leader.
    pub fn kick(&self) -> Option<i32> {
        // Acquire: as above.
        self.kick.get(Ordering::Acquire)
    }

    /// Whether callers of io_getevents have to look for ready polls.
    #[inline]
    pub fn needs_harvest(&self) -> bool {
        // SeqCst: a waiter that joined the list before it looks here is seen by `arm`, or sees the
        // poll; see `find_leader`.
        self.armed.load(Ordering::SeqCst) != 0 && !self.background.is_served()
    }

    /// Makes the epoll instance if there is none. EAGAIN: no descriptor or memory.
    pub fn prepare(&self) -> Result<i32> {
        if let Some(epoll) = self.epoll() {
            return Ok(epoll);
        }
        let _table = self.table.lock();
        match self.epoll() {
            Some(epoll) => Ok(epoll),
            None => self.make(),
        }
    }

    /// Makes an epoll instance in place of none, or of a lost one. The lock is held.
    fn make(&self) -> Result<i32> {
        let _section = fork_gate::enter();
        let (epoll, kick) = epoll::create_marked().map_err(|_| Errno::AGAIN)?;
        let number = epoll.into_raw();
        if let Some(lost) = self.kick.replace(Some(kick.into_raw()), Ordering::Relaxed) {
            // The program may have taken the epoll alone.
            bell::close(lost);
        }
        // Release: pairs with the Acquire in `epoll` and `kick`.
        self.epoll.set(Some(number), Ordering::Release);
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(number)
    }

    fn is_intact(&self) -> bool {
        match (self.epoll(), self.kick()) {
            (Some(epoll), Some(kick)) => epoll::is_intact(epoll, kick),
            _ => true,
        }
    }

    /// Makes a new epoll instance if the program has closed or replaced the old one, whose number
    /// is not ours any more. False: nothing was wrong.
    #[cold]
    pub fn repair(&self) -> bool {
        let mut was_lost = false;
        // What is made may be taken again meanwhile. A harvester comes back in the end.
        for _ in 0..MAX_REPAIRS {
            let done = {
                let mut table = self.table.lock();
                if self.is_intact() {
                    break;
                }
                let Ok(epoll) = self.make() else { break };
                self.background.detach();
                let mut visit = self.visit(epoll);
                table.rebuild(&mut visit);
                self.leave(&visit)
            };
            self.complete(done);
            was_lost = true;
        }
        was_lost
    }

    /// Holds the files of polls and arms them, in order; how many, and why not all.
    ///
    /// EBADF: the number is not open any more; EINVAL: such a file cannot be waited for, as in
    /// fs/aio.c, aio_poll; EAGAIN: no memory or descriptor. The requests from there on are on no
    /// list and hold nothing.
    pub fn arm(&self, requests: &[Option<&Request>]) -> (usize, Result<()>) {
        let (held, held_all) = self.hold(requests);
        let mut count = 0;
        let mut result = Ok(());
        for _ in 0..MAX_REPAIRS {
            let (armed, armed_all) = self.try_arm(requests.get(count..held).unwrap_or_default());
            count += armed;
            result = armed_all;
            if !matches!(result, Err(Errno::BADF | Errno::INVAL)) || !self.repair() {
                break;
            }
        }
        if count > 0 {
            self.find_leader();
        }
        let rest = requests.get(count..).unwrap_or_default();
        if !rest.is_empty() {
            self.release_files(rest.iter().flatten().copied());
        }
        (count, result.and(held_all))
    }

    fn try_arm(&self, requests: &[Option<&Request>]) -> (usize, Result<()>) {
        let epoll = match self.prepare() {
            Ok(epoll) => epoll,
            Err(error) => return (0, Err(error)),
        };
        let mut table = self.table.lock();
        // SeqCst: see `needs_harvest`. Before the registrations, which may fire at once.
        self.armed.fetch_add(requests.len() as u32, Ordering::SeqCst);
        let visit = self.visit(epoll);
        for (count, request) in requests.iter().flatten().enumerate() {
            if let Err(error) = table.register(&visit, request) {
                self.armed.fetch_sub((requests.len() - count) as u32, Ordering::Relaxed);
                return (count, Err(error));
            }
            request.state.arm();
        }
        (requests.len(), Ok(()))
    }

    /// Whether a batch of polls is better armed first and looked at then.
    pub fn expects_wait(&self) -> bool {
        self.expects_wait.load(Ordering::Relaxed)
    }

    /// Notes that of `count` polls so many were ready when they were submitted.
    pub fn learn(&self, ready: usize, count: usize) {
        let expects_wait = 2 * ready < count;
        if expects_wait != self.expects_wait() {
            self.expects_wait.store(expects_wait, Ordering::Relaxed);
        }
    }

    /// Cancels a poll that has not fired. The caller holds a reference and no lock. True: its event
    /// says so, or will.
    pub fn cancel(&self, request: &Request) -> bool {
        {
            let mut table = self.table.lock();
            if request.state.claim() == Claim::Lost {
                return false;
            }
            let mut visit = self.visit(self.epoll().unwrap_or(-1));
            table.unlist(&mut visit, request);
            self.leave(&visit);
        }
        self.release_files(core::iter::once(request));
        // fs/aio.c, aio_poll_complete_work: the result of a cancelled poll is 0.
        request.set_result(0);
        self.completions().put(request);
        true
    }

    /// Completes the polls that are ready. Never waits.
    pub fn harvest(&self) {
        self.harvest_as(false);
    }

    /// As [`Poller::harvest`], for polls that were ready when they were armed; tells how many there
    /// were.
    pub fn harvest_submitted(&self) -> usize {
        self.harvest_as(true)
    }

    fn harvest_as(&self, is_submission: bool) -> usize {
        const BATCH: usize = 64;
        let Some(mut epoll) = self.epoll() else { return 0 };
        let mut losses = 0;
        let mut ready = [epoll_event { events: 0, u64: 0 }; BATCH];
        let mut completed = 0;
        loop {
            let count = match epoll::wait(epoll, &mut ready, 0) {
                Ok(count) => count,
                // Not an epoll any more. What is ready is found in the new one.
                Err(Errno::BADF | Errno::INVAL) => {
                    losses += 1;
                    if losses > MAX_REPAIRS || !self.repair() {
                        return completed;
                    }
                    match self.epoll() {
                        Some(made) => epoll = made,
                        None => return completed,
                    }
                    continue;
                }
                Err(_) => return completed,
            };
            if count == 0 {
                return completed;
            }
            let mut visit = Visit { is_submission, ..self.visit(epoll) };
            let done = {
                let mut table = self.table.lock();
                for event in ready.iter().take(count) {
                    table.fire(&mut visit, event.u64, event.events as u16);
                }
                self.leave(&visit)
            };
            completed += visit.unlisted as usize;
            self.complete(done);
            if count < BATCH {
                return completed;
            }
            // Registrations of ours fire once. Those of the program, if it has put an epoll of its
            // own there, would keep us here for ever.
            if visit.unlisted == 0 && self.repair() {
                match self.epoll() {
                    Some(made) => epoll = made,
                    None => return completed,
                }
            }
        }
    }

    /// The numbers of the epoll and of the bell, which are forgotten.
    fn take(&self) -> (Option<i32>, Option<i32>) {
        (self.epoll.replace(None, Ordering::Relaxed), self.kick.replace(None, Ordering::Relaxed))
    }

    fn close_descriptors(&self) {
        // Right before: the program may put a file of its own there at any time.
        let is_ours = self.is_intact();
        let (epoll, kick) = self.take();
        if let Some(epoll) = epoll.filter(|_| is_ours) {
            fd::close(epoll);
        }
        if let Some(kick) = kick {
            bell::close(kick);
        }
    }

    /// Closes everything. No request is armed and no thread is inside.
    pub fn close(&self) {
        let section = fork_gate::enter();
        self.close_descriptors();
        self.table.lock().clear();
        drop(section);
        self.drop_files();
    }

    /// Closes what a forked child inherited.
    pub fn close_after_fork(&self) {
        self.close_descriptors();
        if let Some(files) = self.files() {
            files.close_after_fork();
        }
        self.files.store(ptr::null_mut(), Ordering::Relaxed);
    }
}
