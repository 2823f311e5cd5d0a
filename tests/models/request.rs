//! The state word of a request, and with it the word in which a submitter and who takes the
//! completion meet.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use crate::explore;
use retry::{RetryBy, RetryHandoff};
use state::{Claim, Put, State};

#[path = "../../src/request/retry.rs"]
mod retry;
#[path = "../../src/request/state.rs"]
mod state;

/// A request, its result, and how often it was completed.
struct Model {
    state: State,
    retry: RetryHandoff,
    result: UnsafeCell<i64>,
    /// What an attempt in io_uring left behind, for who goes on.
    attempt: UnsafeCell<i64>,
    events: AtomicU32,
    /// How many went on after the attempt had failed.
    continued: AtomicU32,
}

impl Model {
    fn new() -> Arc<Model> {
        let model = Model {
            state: State::default(),
            retry: RetryHandoff::default(),
            result: UnsafeCell::new(0),
            attempt: UnsafeCell::new(0),
            events: AtomicU32::new(0),
            continued: AtomicU32::new(0),
        };
        model.state.begin();
        model.retry.begin();
        model.state.arm();
        Arc::new(model)
    }

    fn complete_with(&self, result: i64) {
        if self.state.claim() == Claim::Won {
            // SAFETY: only the winner writes, and nobody reads before the last `put`.
            self.result.with_mut(|cell| unsafe { *cell = result });
            self.put();
        }
    }

    fn put(&self) {
        if self.state.put() == Put::Last {
            // SAFETY: the last reference is gone, so nobody writes any more.
            assert_ne!(self.result.with(|cell| unsafe { *cell }), 0);
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// io_submit ends.
    fn submitted(&self) {
        self.put();
    }

    /// The file is ready, or a worker is done.
    fn complete(&self) {
        self.complete_with(65);
    }

    /// io_cancel or io_destroy has found the request.
    fn cancel(&self) {
        if self.state.is_open() && self.state.try_hold() {
            self.complete_with(-125);
            self.put();
        }
    }

    /// The end of io_submit, `Context::flush_queue`: does what was set back here.
    fn submission_ends(&self) {
        if self.retry.submitter_done() == RetryBy::Submitter {
            self.retry();
        }
        self.put();
    }

    /// `Uring::harvest` finds that the attempt has failed.
    fn attempt_fails(&self) {
        // SAFETY: while the attempt lasts, nobody else looks.
        self.attempt.with_mut(|cell| unsafe { *cell = -11 });
        if self.retry.nowait_failed() == RetryBy::Harvester {
            self.retry();
        }
    }

    /// `Uring::harvest` finds that the attempt has succeeded.
    fn attempt_succeeds(&self) {
        // SAFETY: as above.
        self.attempt.with_mut(|cell| unsafe { *cell = 4096 });
        self.complete();
    }

    /// Another attempt, by whose turn it is.
    fn retry(&self) {
        // SAFETY: whose turn it is is alone with the request; loom looks whether that is so, and
        // whether what the attempt wrote is there.
        self.attempt.with_mut(|cell| unsafe {
            assert_eq!(*cell, -11);
            *cell = 0;
        });
        self.continued.fetch_add(1, Ordering::Relaxed);
        self.complete_with(4096);
    }
}

fn run(parties: &[fn(&Model)], continued: u32) {
    let parties: Vec<fn(&Model)> = parties.to_vec();
    explore(2, move || {
        let model = Model::new();
        let threads: Vec<_> = parties
            .iter()
            .map(|party| {
                let (model, party) = (model.clone(), *party);
                thread::spawn(move || party(&model))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(model.events.load(Ordering::Relaxed), 1);
        assert_eq!(model.continued.load(Ordering::Relaxed), continued);
    });
}

fn posts_one_event(parties: &[fn(&Model)]) {
    run(parties, 0);
}

#[test]
fn completion_before_or_after_the_end_of_submission() {
    posts_one_event(&[Model::submitted, Model::complete]);
}

#[test]
fn completion_against_cancellation() {
    posts_one_event(&[
        |model| {
            model.submitted();
            model.complete();
        },
        Model::cancel,
    ]);
}

#[test]
fn submission_against_completion_against_cancellation() {
    posts_one_event(&[Model::submitted, Model::complete, Model::cancel]);
}

#[test]
fn two_cancellations_against_completion() {
    posts_one_event(&[
        |model| {
            model.submitted();
            model.complete();
        },
        Model::cancel,
        Model::cancel,
    ]);
}

#[test]
fn one_party_goes_on_after_an_attempt_that_failed() {
    run(&[Model::submission_ends, Model::attempt_fails], 1);
}

#[test]
fn nobody_goes_on_after_an_attempt_that_succeeded() {
    run(&[Model::submission_ends, Model::attempt_succeeds], 0);
}

#[test]
fn a_second_attempt_may_fail_too() {
    // Whoever goes on starts an attempt that nobody waits for; its completion is another thread's.
    explore(2, || {
        let model = Model::new();
        let other = model.clone();
        let harvester = thread::spawn(move || {
            if other.retry.nowait_failed() == RetryBy::Harvester {
                other.retry.begin_detached();
                assert_eq!(other.retry.nowait_failed(), RetryBy::Harvester);
                other.complete();
            }
        });
        if model.retry.submitter_done() == RetryBy::Submitter {
            model.retry.begin_detached();
            let other = model.clone();
            let later = thread::spawn(move || {
                assert_eq!(other.retry.nowait_failed(), RetryBy::Harvester);
                other.complete();
            });
            later.join().unwrap();
        }
        model.put();
        harvester.join().unwrap();
        assert_eq!(model.events.load(Ordering::Relaxed), 1);
    });
}
