//! `src/process/crew.rs` between a submitter, members that exit when they have nothing to do, and who ends
//! them all. loom sees whether work is left with nobody there, and whether a thread that was started is
//! neither joined nor on its own.

use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

use crate::explore;
use crate::lock::Lock;
use crate::process::crew::{Crew, MemberId};
use crate::sync::{AtomicU32, Ordering, fence};

const MOST: usize = 2;

/// A crew whose members take what is queued, one at a time, and exit when there is nothing.
struct Team {
    /// A member is joined by its place among the threads of the model.
    crew: Crew<usize, MOST>,
    threads: Mutex<Vec<JoinHandle<bool>>>,
    queued: AtomicU32,
    done: AtomicU32,
}

impl Team {
    fn new() -> Arc<Team> {
        let crew = Crew {
            members: Lock::new([None; MOST]),
            count: AtomicU32::new(0),
            epoch: AtomicU32::new(0),
        };
        Arc::new(Team {
            crew,
            threads: Mutex::new(Vec::new()),
            queued: AtomicU32::new(0),
            done: AtomicU32::new(0),
        })
    }

    fn take(&self) -> bool {
        let mut queued = self.queued.load(Ordering::Relaxed);
        while queued > 0 {
            let taken = self.queued.compare_exchange(
                queued,
                queued - 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match taken {
                Ok(_) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    return true;
                }
                Err(current) => queued = current,
            }
        }
        false
    }

    /// A member's life; whether it has exited by itself, so that nobody joins it.
    fn work(&self, id: MemberId) -> bool {
        loop {
            if self.crew.is_over(id) {
                return false;
            }
            if self.take() {
                continue;
            }
            let mut is_alone = false;
            let is_needed = || self.queued.load(Ordering::Relaxed) > 0;
            if self.crew.try_exit(id, is_needed, || is_alone = true) {
                return is_alone;
            }
        }
    }

    fn add(team: &Arc<Team>) -> bool {
        team.crew.add(|id| {
            let member = team.clone();
            let mut threads = team.threads.lock().unwrap();
            threads.push(thread::spawn(move || member.work(id)));
            Some(threads.len() - 1)
        })
    }

    /// `engine::pool`: queues one, and starts a member if there is none.
    fn submit(team: &Arc<Team>) {
        team.queued.fetch_add(1, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `try_exit`.
        fence(Ordering::SeqCst);
        if team.crew.count() == 0 {
            assert!(Team::add(team));
        }
    }
}

/// Joins what is left of the threads; all have exited by themselves, or were ended.
fn join_all(team: &Team) -> usize {
    let threads = core::mem::take(&mut *team.threads.lock().unwrap());
    threads.into_iter().map(|thread| thread.join().unwrap()).filter(|is_alone| *is_alone).count()
}

#[test]
fn work_is_never_left_with_nobody_there() {
    explore(3, || {
        let team = Team::new();
        Team::submit(&team);
        Team::submit(&team);
        let alone = join_all(&team);
        assert_eq!(team.done.load(Ordering::Relaxed), 2);
        assert_eq!(team.queued.load(Ordering::Relaxed), 0);
        assert_eq!(team.crew.count(), 0);
        assert!(alone > 0);
    });
}

#[test]
fn who_ends_all_joins_those_that_have_not_exited() {
    explore(2, || {
        let team = Team::new();
        Team::submit(&team);
        assert!(Team::add(&team));
        let joined = loom::cell::Cell::new(0);
        team.crew.end(|| {}, |_| joined.set(joined.get() + 1));
        let alone = join_all(&team);
        assert_eq!(joined.get() + alone, 2, "each is joined, or on its own");
        // Places are free again, also those of members that were slow.
        assert!(Team::add(&team) && Team::add(&team));
        team.crew.end(|| {}, |_| ());
        join_all(&team);
    });
}
