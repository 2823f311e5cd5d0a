//! Instances of the kernel's AIO: contexts that io_setup(2) makes, whose events any thread can take
//! out of the ring in memory, without a call.
//!
//! An instance serves one context of ours at a time. It is made when a context first needs it and
//! kept for others when the context is destroyed ([`cache`]): io_destroy(2) takes 30 ms. Nothing
//! here knows what is submitted, but that events whose `obj` is an iocb of ours are not for the
//! program:
//!
//! - *kicks* get threads out of their sleep. A kick is a read of no bytes from a pipe of ours,
//!   which is over at once. Should the program have put a file of its own there, it does no harm.
//! - the *watch* tells when another descriptor becomes readable, so that one sleep is enough for
//!   both.
//!
//! *Who may touch what*: the head of the ring, under `harvest`, while no thread sleeps; while one
//! does, the kernel moves it, for everybody. The bag belongs to the sleeper that has got it. The
//! iocb of the watch belongs to the thread that has set `is_armed`.
//!
//! *Orderings*: the kernel is the partner. Events are read after an Acquire load of the tail
//! (fs/aio.c, aio_complete has the barrier), and before the Release store of the head, which the
//! kernel reads when it looks for room (user_refill_reqs_available).

pub mod cache;

use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, offset_of};

use libc::{POLLIN, timespec};

use crate::aio_abi::{AIO_RING_MAGIC, AioRing, Event, IOCB_CMD_POLL, IOCB_CMD_PREAD, Iocb};
use crate::lock::Lock;
use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::kaio;
use crate::sys::mmap::{self, Protection};
use crate::sys::poll::SigSet;
use crate::uring;

/// Slots that requests do not get: for kicks and watches.
pub const RESERVED: u32 = 16;
/// How many kicks are submitted together.
const KICKS: usize = 32;
/// How many events a sleeper takes at most.
const BAG: usize = 64;

/// The ring of an instance that has ended: empty, and no context to the kernel.
static NOWHERE: [AtomicU32; size_of::<AioRing>() / size_of::<u32>()] =
    [const { AtomicU32::new(0) }; size_of::<AioRing>() / size_of::<u32>()];

/// A poll of a descriptor of ours, in the kernel. It fires once.
#[derive(Debug, Default)]
struct Watch {
    is_armed: AtomicBool,
    /// Which one of the descriptors that there have been it is armed for.
    number: AtomicU32,
    iocb: UnsafeCell<Iocb>,
}

// SAFETY: see "Who may touch what".
unsafe impl Sync for Watch {}

// SAFETY: as above, for the bag; the rest says so of itself.
unsafe impl Sync for Instance {}

/// Room for events that a sleeper takes.
#[derive(Debug)]
pub struct Bag {
    events: [MaybeUninit<Event>; BAG],
    count: usize,
}

impl Bag {
    /// Empty.
    #[inline]
    pub fn new() -> Bag {
        Bag { events: [const { MaybeUninit::uninit() }; BAG], count: 0 }
    }

    /// One in which events can be counted: those that the kernel has not written are all 0. Never
    /// on the stack, which may be small.
    fn blank() -> Box<UnsafeCell<Bag>> {
        let mut bag = Box::<UnsafeCell<Bag>>::new_uninit();
        // SAFETY: memory for one; events may be anything, and 0 is a count.
        unsafe {
            bag.as_mut_ptr().write_bytes(0, 1);
            bag.assume_init()
        }
    }

    /// How many events the kernel has written to a blank one.
    fn recount(&mut self) {
        // SAFETY: any bits are an `Event`, and all of a blank bag has some.
        let is_event = |event: &&MaybeUninit<Event>| unsafe { event.assume_init_ref() }.obj != 0;
        self.count = self.events.iter().take_while(is_event).count();
    }

    /// Takes the events out.
    fn empty(&mut self, mut visit: impl FnMut(&Event)) {
        for event in self.events.iter_mut().take(self.count) {
            // SAFETY: the kernel has written so many of them.
            let event = unsafe { event.assume_init_mut() };
            visit(event);
            event.obj = 0;
        }
        self.count = 0;
    }
}

/// The threads that sleep in an instance.
#[derive(Debug)]
struct Sleepers {
    count: u32,
    /// One of them has the bag of the instance.
    has_bag: bool,
}

/// What a harvest found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Events of requests.
    pub events: u32,
    /// Events that were to wake somebody.
    pub others: u32,
    /// One of these is the watch's.
    pub has_watch: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Instance {
    /// The `aio_context_t`: where the ring is, or [`NOWHERE`].
    context: AtomicUsize,
    /// What the kernel calls it in the header of the ring.
    id: u32,
    /// Slots of the ring.
    nr: u32,
    /// What is charged against fs.aio-max-nr.
    charge: u32,
    /// Requests whose events were not taken.
    in_flight: AtomicU32,
    /// The threads that sleep in the kernel.
    harvest: Lock<Sleepers>,
    /// For one of them: if that leaves its call by a jump, the events are found here.
    bag: Box<UnsafeCell<Bag>>,
    kick: Lock<Iocb>,
    watch: Watch,
}

impl Instance {
    /// Makes an instance that is charged with `charge` events. It has room for some more: the
    /// kernel rounds up to twice what the CPUs may need, and to a page.
    ///
    /// NOSYS: what is there is not the kernel's AIO as it is known here.
    fn new(charge: u32) -> Result<Instance> {
        let context = kaio::setup(charge)?;
        let kick = Iocb { lio_opcode: IOCB_CMD_PREAD, ..Iocb::default() };
        cache::charge(charge);
        let mut instance = Instance {
            context: AtomicUsize::new(context),
            id: 0,
            nr: 0,
            charge,
            in_flight: AtomicU32::new(0),
            harvest: Lock::new(Sleepers { count: 0, has_bag: false }),
            bag: Bag::blank(),
            kick: Lock::new(kick),
            watch: Watch::default(),
        };
        // Kernels that are not Linux have no ring in memory.
        let is_known = instance.field(offset_of!(AioRing, magic)).load(Ordering::Relaxed)
            == AIO_RING_MAGIC
            && instance.field(offset_of!(AioRing, incompat_features)).load(Ordering::Relaxed) == 0
            && instance.field(offset_of!(AioRing, header_length)).load(Ordering::Relaxed) as usize
                == size_of::<AioRing>();
        instance.id = instance.field(offset_of!(AioRing, id)).load(Ordering::Relaxed);
        instance.nr = instance.field(offset_of!(AioRing, nr)).load(Ordering::Relaxed);
        if is_known && instance.nr > 2 * RESERVED { Ok(instance) } else { Err(Errno::NOSYS) }
    }

    #[inline]
    fn context(&self) -> usize {
        self.context.load(Ordering::Relaxed)
    }

    /// A field of the header of the ring.
    fn field(&self, offset: usize) -> &AtomicU32 {
        let pointer = core::ptr::with_exposed_provenance_mut(self.context() + offset);
        // SAFETY: the kernel has mapped a page with the header there, which stays as long as
        // `self`, or until `end` has put another one in its place; the callers pass offsets of
        // aligned fields.
        unsafe { AtomicU32::from_ptr(pointer) }
    }

    fn head(&self) -> &AtomicU32 {
        self.field(offset_of!(AioRing, head))
    }

    fn tail(&self) -> &AtomicU32 {
        self.field(offset_of!(AioRing, tail))
    }

    /// Requests that may be in flight.
    pub fn capacity(&self) -> u32 {
        self.nr - 1 - RESERVED
    }

    /// Requests beside which each CPU has slots for kicks. The kernel keeps twice as many slots as
    /// it was asked for, for those that are left with other CPUs: fs/aio.c, ioctx_alloc.
    pub fn sure_capacity(&self) -> u32 {
        (self.nr / 2).saturating_sub(RESERVED)
    }

    /// Requests whose events were not taken.
    #[inline]
    pub fn in_flight(&self) -> &AtomicU32 {
        &self.in_flight
    }

    /// Submits `count` iocbs of the program, whose addresses are in its array at `iocbs`; how many
    /// were accepted.
    #[inline]
    pub fn submit(&self, count: usize, iocbs: usize) -> Result<usize> {
        kaio::submit(self.context(), count, iocbs)
    }

    /// Cancels a poll of the program that was made from its iocb at an address. EINPROGRESS: its
    /// event will come.
    pub fn cancel(&self, iocb: usize) -> Result<()> {
        kaio::cancel(self.context(), iocb)
    }

    /// Whether there are events to take.
    #[inline]
    pub fn has_events(&self) -> bool {
        // Acquire, both: pair with the kernel's barrier before the tail, and with our Release of
        // the head.
        self.tail().load(Ordering::Acquire) != self.head().load(Ordering::Acquire)
    }

    /// How many there are, kicks among them.
    pub fn events_there(&self) -> u32 {
        // Relaxed: it is a number, out of date already.
        let (head, tail) = (self.head(), self.tail());
        (tail.load(Ordering::Relaxed) + self.nr - head.load(Ordering::Relaxed) % self.nr) % self.nr
    }

    /// Takes events that are there, of up to `most` requests, which `take` gets: the others are for
    /// other threads.
    pub fn harvest(&self, most: usize, mut take: impl FnMut(Event)) -> Found {
        let mut found = Found::default();
        if most == 0 {
            return found;
        }
        let sleepers = self.harvest.lock();
        if sleepers.count == 0 {
            let next = self.read(|event| {
                self.sort(event, &mut found, &mut take);
                (found.events as usize) < most
            });
            // Release: the events are copied before the kernel uses their slots again.
            self.head().store(next, Ordering::Release);
            return found;
        }
        const NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };
        let mut bag = Bag::new();
        while (found.events as usize) < most && self.has_events() {
            let room = most - found.events as usize;
            if !matches!(self.take(0, room, &mut bag, Some(&NOW), None), Ok(1..)) {
                break;
            }
            self.see_submissions();
            bag.empty(|event| self.sort(event, &mut found, &mut take));
        }
        found
    }

    /// Passes an event on, if it is a request's.
    fn sort(&self, event: &Event, found: &mut Found, take: &mut impl FnMut(Event)) {
        if !self.contains(event.obj) {
            found.events += 1;
            return take(*event);
        }
        found.others += 1;
        if event.obj == self.watch.iocb.get().addr() as u64 {
            // Release: pairs with the Acquire in `watch`, whose turn it is.
            self.watch.is_armed.store(false, Ordering::Release);
            found.has_watch = true;
        }
    }

    /// Visits the events of requests that are there.
    pub fn for_each(&self, mut visit: impl FnMut(&Event)) {
        let _harvest = self.harvest.lock();
        self.read(|event| {
            if !self.contains(event.obj) {
                visit(event);
            }
            true
        });
    }

    /// Visits the events that are there, until `visit` returns false; where they end. The lock is
    /// held.
    fn read(&self, mut visit: impl FnMut(&Event) -> bool) -> u32 {
        let mut index = self.head().load(Ordering::Relaxed) % self.nr;
        // Acquire: pairs with the kernel's barrier: the events up to the tail are complete.
        let tail = self.tail().load(Ordering::Acquire) % self.nr;
        self.see_submissions();
        while index != tail {
            // SAFETY: it is between the head and the tail.
            let event = unsafe { self.event(index) };
            index = if index + 1 == self.nr { 0 } else { index + 1 };
            if !visit(&event) {
                break;
            }
        }
        index
    }

    /// What a submitter did before is seen by the thread that gets the event. That is the kernel's
    /// doing, of which neither the language nor a sanitizer knows.
    fn see_submissions(&self) {
        // Acquire: pairs with the SeqCst of the count in engine/kernel, `submit`.
        let _ = self.in_flight.load(Ordering::Acquire);
    }

    /// Whether something at this address is ours.
    fn contains(&self, address: u64) -> bool {
        (address as usize).wrapping_sub(core::ptr::from_ref(self).addr()) < size_of::<Instance>()
    }

    fn take(
        &self,
        count: u32,
        most: usize,
        bag: &mut Bag,
        timeout: Option<&timespec>,
        mask: Option<&SigSet>,
    ) -> Result<usize> {
        bag.count = 0;
        let (count, is_restarted) = (count as usize, uring::was_used());
        let room = bag.events.get_mut(..most.min(BAG)).unwrap_or_default();
        bag.count = kaio::take(self.context(), count, room, timeout, mask, is_restarted)?;
        Ok(bag.count)
    }

    /// From here on until [`Instance::get_up`] the calling thread may sleep. True: it takes events
    /// into the bag of the instance.
    pub fn fall_asleep(&self) -> bool {
        let mut sleepers = self.harvest.lock();
        sleepers.count += 1;
        !core::mem::replace(&mut sleepers.has_bag, true)
    }

    /// The bag of the instance.
    fn bag(&self) -> *mut Bag {
        self.bag.get()
    }

    /// Sleeps until there are `count` events, or the bag is full, at most `timeout`; takes up to
    /// `most` into `bag`, or none: that of the instance, which the caller has. Whether these are
    /// all: fewer if it took too long or a signal came; EINTR: none, and a signal came.
    pub fn sleep(
        &self,
        count: u32,
        most: usize,
        bag: Option<&mut Bag>,
        timeout: Option<&timespec>,
        mask: Option<&SigSet>,
    ) -> Result<bool> {
        // SAFETY: the sleeper that has the bag touches it alone.
        let bag = bag.unwrap_or_else(|| unsafe { &mut *self.bag() });
        let most = most.max(count as usize);
        let taken = self.take(count.clamp(1, self.nr - 1), most, bag, timeout, mask)?;
        Ok(taken >= (count as usize).clamp(1, BAG))
    }

    /// Takes out what a sleeper has brought; `take` gets the events of requests.
    /// [`Instance::get_up`] is due.
    pub fn unpack(&self, bag: Option<&mut Bag>, mut take: impl FnMut(Event)) -> Found {
        let mut found = Found::default();
        // SAFETY: as in `sleep`.
        let bag = bag.unwrap_or_else(|| unsafe { &mut *self.bag() });
        self.see_submissions();
        bag.empty(|event| self.sort(event, &mut found, &mut take));
        found
    }

    /// The calling thread sleeps no more; `has_bag`: it had the bag of the instance.
    pub fn get_up(&self, has_bag: bool) {
        let mut sleepers = self.harvest.lock();
        sleepers.count -= 1;
        sleepers.has_bag &= !has_bag;
    }

    /// A thread that slept, with the bag of the instance, has left its call: counts the events that
    /// it has taken, before they are taken out.
    pub fn recount(&self) {
        // SAFETY: as in `sleep`, for the one that has left.
        unsafe { &mut *self.bag() }.recount();
    }

    /// Ends the sleep of threads that wait for up to `count` events.
    pub fn kick(&self, count: u32) {
        let mut left = count.min(self.nr - 1) as usize;
        let mut kick = self.kick.lock();
        while left > 0 {
            let Some(pipe) = cache::pipe() else { return };
            kick.fildes = pipe;
            let chunk = left.min(KICKS);
            let iocbs = [&raw const *kick; KICKS];
            match kaio::submit(self.context(), chunk, iocbs.as_ptr().addr()) {
                Ok(count @ 1..) => left = left.saturating_sub(count),
                // The program has closed the pipe, or put something there that cannot be read.
                Err(Errno::BADF | Errno::INVAL) if cache::renew_pipe(pipe) => {}
                // No room: there are events, or will be. The thread that takes some kicks again.
                _ => return,
            }
        }
    }

    /// Lets `descriptor` wake a sleeper when it becomes readable; `number` tells it from those that
    /// had its place before. False: the kernel cannot, or not yet.
    pub fn watch(&self, descriptor: i32, number: u32) -> bool {
        let watch = &self.watch;
        // Acquire: pairs with the Release in `harvest`.
        if watch
            .is_armed
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            let is_it = watch.number.load(Ordering::Relaxed) == number;
            if !is_it {
                self.forget_watch();
            }
            return is_it;
        }
        watch.number.store(number, Ordering::Relaxed);
        let iocb = Iocb {
            lio_opcode: IOCB_CMD_POLL,
            fildes: descriptor,
            buf: POLLIN as u64,
            ..Iocb::default()
        };
        // SAFETY: the thread that has set `is_armed` has the iocb.
        unsafe { *watch.iocb.get() = iocb };
        let iocbs = [watch.iocb.get()];
        let is_submitted = kaio::submit(self.context(), 1, iocbs.as_ptr().addr()) == Ok(1);
        if !is_submitted {
            watch.is_armed.store(false, Ordering::Relaxed);
        }
        is_submitted
    }

    /// Gives up what is watched: it may be another file by now. The event comes.
    fn forget_watch(&self) {
        if self.watch.is_armed.load(Ordering::Relaxed) {
            let _ = kaio::cancel(self.context(), self.watch.iocb.get().addr());
        }
    }

    /// What the header of the ring says.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Slots of the ring.
    pub fn nr(&self) -> u32 {
        self.nr
    }

    /// Where the next event goes.
    pub fn posted(&self) -> u32 {
        // Acquire: as in `has_events`.
        self.tail().load(Ordering::Acquire) % self.nr
    }

    /// Where the next event to be taken is.
    pub fn taken(&self) -> u32 {
        self.head().load(Ordering::Relaxed) % self.nr
    }

    /// An event of the ring.
    ///
    /// # Safety
    /// It is between the head and the tail.
    unsafe fn event(&self, index: u32) -> Event {
        let events = self.context() + size_of::<AioRing>();
        let events = core::ptr::with_exposed_provenance::<Event>(events);
        // SAFETY: the ring has `nr` events, and the kernel does not write those up to the tail
        // before the head has passed them. Any bits are an `Event`.
        unsafe { events.add(index as usize).read_volatile() }
    }

    /// Turns the empty ring until the next event goes to `position`. False: it does not turn, or
    /// that would take more than a millisecond or two.
    pub fn turn(&self, position: u32) -> bool {
        const FARTHEST: u32 = 4096;
        loop {
            let before = self.posted();
            let distance = (position + self.nr - before) % self.nr;
            if distance == 0 || distance > FARTHEST {
                return distance == 0;
            }
            self.kick(distance.min(KICKS as u32));
            self.harvest(usize::MAX, |_| {});
            if self.posted() == before {
                return false;
            }
        }
    }

    /// Moves the ring to an address.
    ///
    /// # Safety
    /// What is there is not used any more.
    pub unsafe fn move_to(&mut self, address: usize, len: usize) -> Result<()> {
        // SAFETY: the caller's promise; the ring is used by its new address from here on.
        unsafe { mmap::move_onto(self.context(), len, address) }?;
        *self.context.get_mut() = address;
        Ok(())
    }

    /// The program has moved the ring to an address.
    pub fn moved_to(&mut self, address: usize) {
        *self.context.get_mut() = address;
    }

    /// Moves the ring to an address of its own.
    pub fn move_away(&mut self, len: usize) -> Result<()> {
        let address = mmap::anonymous(len, Protection::None)?;
        // SAFETY: the address was reserved for it.
        unsafe { self.move_to(address, len) }.inspect_err(|_| {
            // SAFETY: as above.
            let _ = unsafe { mmap::unmap(address, len) };
        })
    }

    /// Gives up what is watched, and takes all events, for nobody: the context that it served is
    /// gone.
    pub fn clear(&self) {
        const MAX_ATTEMPTS: usize = 10;
        const MAX_SLEEP: timespec = timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        self.forget_watch();
        for _ in 0..MAX_ATTEMPTS {
            self.harvest(usize::MAX, |_| {});
            if self.is_idle() {
                return;
            }
            // fs/aio.c, aio_poll_cancel: the event comes from a thread of the kernel.
            let mut bag = Bag::new();
            let mut bag = (!self.fall_asleep()).then_some(&mut bag);
            let has_theirs = bag.is_none();
            let _ = self.sleep(1, BAG, bag.as_deref_mut(), Some(&MAX_SLEEP), None);
            self.unpack(bag, |_| {});
            self.get_up(has_theirs);
        }
    }

    /// Has the kernel destroy it, and with that wait until nothing is in flight. Calls that are
    /// asleep in it end with EINVAL. No call looks into the ring at the same time, but for one that
    /// io_destroy has given up and that comes back in this moment.
    pub fn end(&self) {
        let nowhere = NOWHERE.as_ptr().expose_provenance();
        let context = self.context.swap(nowhere, Ordering::Relaxed);
        if context != nowhere {
            let _ = kaio::destroy(context);
        }
    }

    /// Whether the kernel has destroyed it.
    pub fn has_ended(&self) -> bool {
        self.context() == NOWHERE.as_ptr().addr()
    }

    /// Whether nothing is in the kernel any more.
    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0 && !self.watch.is_armed.load(Ordering::Relaxed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.end();
        cache::give_back(self.charge);
    }
}

#[cfg(test)]
mod tests;
