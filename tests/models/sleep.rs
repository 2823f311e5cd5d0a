//! The sleep protocol: `src/completion/waiters` between callers of io_getevents that sleep in
//! io_uring or in the kernel's AIO, who takes completions, and who brings events from elsewhere.
//! loom reports a deadlock if somebody sleeps for ever.

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::completion::waiters::{Sleep, Waiters};
use crate::explore;
use crate::kaio;
use crate::process::reentrancy::Owner;
use crate::sync::{AtomicU32, Ordering};
use crate::uring::{Instance, Taken};

/// A context.
struct World {
    waiters: Waiters,
    instance: Arc<Instance>,
    /// In its place, if there is one.
    kernel: Option<Arc<kaio::Instance>>,
    /// The ring: events that were posted and events that were taken.
    tail: AtomicU32,
    head: AtomicU32,
    is_dead: AtomicU32,
    /// The harvester harvests.
    is_background: AtomicU32,
    /// A poll is armed and has no leader.
    is_armed: AtomicU32,
}

impl World {
    fn new(is_on_kernel: bool) -> Arc<World> {
        let instance = Arc::new(Instance::new());
        let kernel = is_on_kernel.then(|| Arc::new(kaio::Instance::new()));
        let waiters = Waiters::default();
        match &kernel {
            Some(kernel) => waiters.add_kernel(Arc::as_ptr(kernel)),
            None => waiters.set_ring(Arc::as_ptr(&instance)),
        }
        Arc::new(World {
            waiters,
            instance,
            kernel,
            tail: AtomicU32::new(0),
            head: AtomicU32::new(0),
            is_dead: AtomicU32::new(0),
            is_background: AtomicU32::new(0),
            is_armed: AtomicU32::new(0),
        })
    }

    fn occupancy(&self) -> u32 {
        // Acquire, both: as in `src/completion/ring/queue.rs`.
        let head = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::Acquire).saturating_sub(head)
    }

    /// `Ring::take`.
    fn take(&self, most: u32) -> u32 {
        loop {
            let head = self.head.load(Ordering::Relaxed);
            // Acquire: as in `src/completion/ring/queue.rs`.
            let count = self.tail.load(Ordering::Acquire).saturating_sub(head).min(most);
            // Release: as in `src/completion/ring/queue.rs`.
            let moved = self.head.compare_exchange(
                head,
                head + count,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if count == 0 || moved.is_ok() {
                return count;
            }
        }
    }

    /// `Completions::post`, of an event that io_uring does not know of.
    fn post(&self) {
        // Release: as in `src/completion/ring/queue.rs`.
        self.tail.fetch_add(1, Ordering::Release);
        self.waiters.notify(|| self.occupancy());
    }

    /// `Context::harvest`.
    fn harvest(&self) -> Taken {
        let taken = match &self.kernel {
            Some(kernel) => kernel.harvest(),
            None => self.instance.harvest(),
        };
        self.add(taken)
    }

    fn add(&self, taken: Taken) -> Taken {
        if taken.completions > 0 {
            // Release: as in `src/completion/ring/queue.rs`.
            self.tail.fetch_add(taken.completions, Ordering::Release);
        }
        taken
    }

    fn has_completions(&self) -> bool {
        match &self.kernel {
            Some(kernel) => kernel.has_events(),
            None => self.instance.has_completions(),
        }
    }

    /// `Sleeper::doze_in`: what the sleep has brought.
    fn doze(&self, min_complete: u32) -> Taken {
        match &self.kernel {
            Some(kernel) => self.add(kernel.sleep(min_complete)),
            None => {
                self.instance.wait(min_complete);
                Taken::default()
            }
        }
    }

    /// A request is done.
    fn complete(&self) {
        match &self.kernel {
            Some(kernel) => kernel.complete(),
            None => self.instance.complete(),
        }
    }

    /// `Harvest::wake_waiters`.
    fn wake_waiters(&self, taken: Taken) {
        if taken.completions + taken.kicks > 0 {
            let _ = self.waiters.notify_after_harvest(taken.kicks > 0, || self.occupancy());
        }
    }

    /// io_getevents with a timeout of 0, `most` events; io_cancel and others with none.
    fn look(&self, most: u32) -> u32 {
        let taken = self.harvest();
        let count = self.take(most);
        self.wake_waiters(taken);
        count
    }

    fn needs_watch(&self) -> bool {
        self.is_background.load(Ordering::Relaxed) == 0
    }

    fn is_over(&self, need: u32) -> bool {
        self.is_dead.load(Ordering::Relaxed) != 0 || self.occupancy() >= need
    }

    /// `Context::read_events`: waits for `min` events, at most `max`. `may_others` bring events:
    /// then the caller asks for one completion at a time.
    fn getevents(&self, min: u32, max: u32, may_others: bool) -> u32 {
        let mut got = 0;
        let mut unnotified = self.harvest();
        loop {
            got += self.take(max - got);
            if got >= min || self.is_dead.load(Ordering::Relaxed) != 0 {
                self.wake_waiters(unnotified);
                return got;
            }
            if self.is_armed.load(Ordering::Relaxed) != 0 {
                // Would lead from here on.
                self.wake_waiters(unnotified);
                return got;
            }
            match self.needs_watch() {
                true => self.watch(min - got, may_others, &mut unnotified),
                false => self.follow(min - got),
            }
        }
    }

    /// `Sleeper::watch`.
    fn watch(&self, need: u32, may_others: bool, unnotified: &mut Taken) {
        let sleep = if self.kernel.is_some() { Sleep::Kernel } else { Sleep::Ring };
        let waiter = self.waiters.join(Owner::default(), need, sleep).unwrap();
        loop {
            let taken = self.harvest();
            unnotified.completions += taken.completions;
            unnotified.kicks += taken.kicks;
            if self.is_over(need) {
                return;
            }
            self.wake_waiters(core::mem::take(unnotified));
            if !self.needs_watch() || self.is_armed.load(Ordering::Relaxed) != 0 {
                return;
            }
            let occupancy = self.occupancy();
            let min_complete = match may_others {
                true => 1,
                false => need.saturating_sub(occupancy).max(1),
            };
            waiter.set_min_complete(min_complete);
            let is_changed = waiter.is_woken()
                || self.has_completions()
                || self.occupancy() != occupancy
                || self.is_over(need)
                || !self.needs_watch();
            match is_changed {
                // Others run before this thread looks again: the library does not need that,
                // but a model in which they never do has no end.
                true => thread::yield_now(),
                false => {
                    let taken = self.doze(min_complete);
                    unnotified.completions += taken.completions;
                    unnotified.kicks += taken.kicks;
                }
            }
            waiter.clear_min_complete();
            waiter.rearm();
        }
    }

    /// `Sleeper::follow`.
    fn follow(&self, need: u32) {
        let waiter = self.waiters.join(Owner::default(), need, Sleep::Futex).unwrap();
        while !self.is_over(need) {
            crate::sys::futex::wait(waiter.word(), 0);
            waiter.rearm();
        }
    }
}

type Party = fn(&World) -> u32;

/// Runs the parties, each in a thread but the last, and looks whether they took `events` in all.
fn shares(preemptions: usize, parties: &[Party], events: u32) {
    shares_on(false, preemptions, parties, events);
    shares_on(true, preemptions, parties, events);
}

fn shares_on(is_on_kernel: bool, preemptions: usize, parties: &[Party], events: u32) {
    let parties: Vec<Party> = parties.to_vec();
    explore(preemptions, move || {
        let world = World::new(is_on_kernel);
        let (last, others) = parties.split_last().unwrap();
        let threads: Vec<JoinHandle<u32>> = others
            .iter()
            .map(|party| {
                let (world, party) = (world.clone(), *party);
                thread::spawn(move || party(&world))
            })
            .collect();
        let mut taken = last(&world);
        for thread in threads {
            taken += thread.join().unwrap();
        }
        taken += world.look(9);
        assert_eq!(taken, events);
    });
}

/// A request in io_uring is done.
fn completes(world: &World) -> u32 {
    world.complete();
    0
}

/// A worker, or a submitter, brings an event.
fn posts(world: &World) -> u32 {
    world.post();
    0
}

fn waits_for_one(world: &World) -> u32 {
    let got = world.getevents(1, 1, false);
    assert_eq!(got, 1);
    got
}

/// Asks for two completions.
fn waits_for_two(world: &World) -> u32 {
    let got = world.getevents(2, 2, false);
    assert_eq!(got, 2);
    got
}

/// Asks for one completion at a time.
fn waits_for_two_from_anywhere(world: &World) -> u32 {
    let got = world.getevents(2, 2, true);
    assert_eq!(got, 2);
    got
}

#[test]
fn a_completion_wakes() {
    shares(3, &[waits_for_one, completes], 1);
}

#[test]
fn an_event_from_elsewhere_wakes() {
    shares(3, &[waits_for_one, posts], 1);
}

#[test]
fn a_completion_that_another_thread_takes_and_leaves_wakes() {
    shares(1, &[waits_for_one, |world| world.look(0), completes], 1);
}

#[test]
fn a_kick_that_another_thread_takes_is_repeated() {
    shares(3, &[waits_for_one, |world| world.look(0), posts], 1);
}

#[test]
fn who_takes_one_of_two_leaves_enough() {
    let both = |world: &World| completes(world) + posts(world);
    shares(1, &[waits_for_one, |world| world.look(1), both], 2);
}

#[test]
fn two_wait_for_one_each() {
    let both = |world: &World| completes(world) + posts(world);
    shares(1, &[waits_for_one, waits_for_one, both], 2);
}

#[test]
fn two_completions_wake_who_asks_for_two() {
    shares(2, &[waits_for_two, completes, completes], 2);
}

#[test]
fn an_event_from_elsewhere_counts_for_who_asks_for_two() {
    shares(2, &[waits_for_two, completes, posts], 2);
}

#[test]
fn a_completion_taken_and_left_counts_for_who_asks_for_two() {
    let both = |world: &World| completes(world) + completes(world);
    shares(1, &[waits_for_two, |world| world.look(0), both], 2);
}

#[test]
fn who_asks_for_one_at_a_time_gets_two() {
    shares(2, &[waits_for_two_from_anywhere, completes, posts], 2);
}

#[test]
fn one_and_two_are_served_together() {
    let three = |world: &World| completes(world) + posts(world) + completes(world);
    shares(1, &[waits_for_one, waits_for_two, three], 3);
}

#[test]
fn the_end_of_the_context_wakes_everybody() {
    let waits = |world: &World| world.getevents(1, 1, false);
    let waits_for_more = |world: &World| world.getevents(2, 2, false);
    let kills = |world: &World| {
        world.is_dead.store(1, Ordering::Relaxed);
        world.waiters.wake_all();
        0
    };
    shares(2, &[waits, waits_for_more, kills], 0);
}

#[test]
fn a_sleeper_is_called_to_lead() {
    let waits = |world: &World| world.getevents(1, 1, false);
    let arms = |world: &World| {
        world.is_armed.store(1, Ordering::Relaxed);
        world.waiters.wake_one_to_lead();
        0
    };
    shares(3, &[waits, arms], 0);
    shares(2, &[waits, |world| world.look(0), arms], 0);
}

#[test]
fn who_was_woken_for_nothing_is_woken_again() {
    let follows = |world: &World| {
        world.follow(1);
        world.take(1)
    };
    let calls = |world: &World| {
        world.waiters.wake_non_ring_waiters();
        0
    };
    shares(2, &[follows, calls, posts], 1);
}

#[test]
fn the_harvester_takes_over_under_a_sleeper() {
    let reaps = |world: &World| {
        world.is_background.store(1, Ordering::Relaxed);
        let (mut seen, mut completions) = (0, 0);
        while completions < 2 {
            (seen, completions) = world.instance.edge(seen);
            let taken = world.harvest();
            world.wake_waiters(taken);
            if taken.completions == 0 {
                // As in `watch`: it may have posted its own next edge.
                thread::yield_now();
            }
        }
        0
    };
    let both = |world: &World| completes(world) + completes(world);
    shares_on(false, 1, &[waits_for_two, reaps, both], 2);
}

/// A call that was left by a handler, and nobody has undone it yet.
const LEFT: Owner = Owner { task: 1, frame: 1 };

fn overlaps_punted(world: &World, sleep: Sleep) {
    let waiter = world.waiters.join(LEFT, 1, sleep).unwrap();
    if sleep == Sleep::Ring {
        waiter.set_min_complete(1);
    }
    waiter.fall_asleep();
    core::mem::forget(waiter);
}

#[test]
fn a_waiter_that_was_left_takes_nothing_from_others() {
    let leaves = |world: &World| {
        overlaps_punted(world, Sleep::Ring);
        0
    };
    shares(1, &[waits_for_one, leaves, posts], 1);
    shares(1, &[waits_for_one, leaves, completes], 1);
}

#[test]
fn a_waiter_may_be_undone_while_others_are_woken() {
    let leaves = |world: &World| {
        overlaps_punted(world, Sleep::Futex);
        assert!(world.waiters.undo(LEFT).is_some());
        assert!(world.waiters.undo(LEFT).is_none());
        0
    };
    shares(2, &[waits_for_one, leaves, posts], 1);
}

#[test]
fn a_call_wakes_or_is_given_up() {
    explore(3, || {
        let world = World::new(false);
        let other = world.clone();
        let destroys = thread::spawn(move || {
            if let Some(sleeper) = other.waiters.next_sleeper(0) {
                other.waiters.revoke(&sleeper);
            }
            other.waiters.revoked()
        });
        let waiter = world.waiters.join(LEFT, 1, Sleep::Futex).unwrap();
        waiter.fall_asleep();
        let goes_on = waiter.wake_up();
        drop(waiter);
        // It may have left before it was counted.
        assert!(destroys.join().unwrap() <= u32::from(!goes_on));
        assert_eq!(world.waiters.revoked(), 0);
        // Nobody has the node, and it can be had again.
        assert!(world.waiters.is_empty() && world.waiters.next_sleeper(0).is_none());
        assert!(world.waiters.undo(LEFT).is_none());
        drop(world.waiters.join(LEFT, 1, Sleep::Futex));
    });
}

#[test]
fn a_node_taken_away_is_undone_once() {
    explore(3, || {
        let world = World::new(false);
        overlaps_punted(&world, Sleep::Futex);
        let sleeper = world.waiters.next_sleeper(0).unwrap();
        let other = world.clone();
        let destroys = thread::spawn(move || other.waiters.undo_dead(&sleeper).is_some());
        let calls_again = world.waiters.undo(LEFT).is_some();
        assert_ne!(destroys.join().unwrap(), calls_again);
        assert!(world.waiters.is_empty());
    });
}

/// As `wait_for_calls` in `src/registry/destroy.rs` looks: one call sleeps, another one does not.
#[test]
fn a_call_that_is_given_up_and_leaves_is_not_taken_for_another_one() {
    explore(3, || {
        let world = World::new(false);
        let references = Arc::new(AtomicU32::new(2));
        let is_over = Arc::new(AtomicU32::new(0));
        let (other, inside, seen) = (world.clone(), references.clone(), is_over.clone());
        let waiter = world.waiters.join(LEFT, 1, Sleep::Futex).unwrap();
        waiter.fall_asleep();
        let destroys = thread::spawn(move || {
            if let Some(sleeper) = other.waiters.next_sleeper(0) {
                other.waiters.revoke(&sleeper);
            }
            // Acquire: pairs with the Release of who leaves.
            if inside.load(Ordering::Acquire) <= other.waiters.revoked() {
                assert_eq!(seen.load(Ordering::Relaxed), 1);
            }
        });
        waiter.wake_up();
        drop(waiter);
        // Release: the node is back, and what the other call did is done.
        references.fetch_sub(1, Ordering::Release);
        is_over.store(1, Ordering::Relaxed);
        // Release: as above.
        references.fetch_sub(1, Ordering::Release);
        destroys.join().unwrap();
    });
}
