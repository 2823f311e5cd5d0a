//! The state word of a request under every interleaving and every order of memory that loom knows.
//!
//! The source is the library's own; here its atomics are loom's.

#![allow(clippy::unwrap_used, dead_code)]

/// What `src/request/state.rs` takes from the library.
mod sync {
    pub use loom::sync::atomic::{AtomicU32, Ordering};
}

#[path = "../src/request/state.rs"]
mod state;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;

use state::{Claim, Put, State};

/// A request, its result, and how often it was completed.
struct Model {
    state: State,
    result: UnsafeCell<i64>,
    events: AtomicU32,
}

impl Model {
    fn new() -> Arc<Model> {
        let model = Model {
            state: State::default(),
            result: UnsafeCell::new(0),
            events: AtomicU32::new(0),
        };
        model.state.begin();
        model.state.arm();
        Arc::new(model)
    }

    fn decide(&self, result: i64) {
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
        self.decide(65);
    }

    /// io_cancel or io_destroy has found the request.
    fn cancel(&self) {
        if self.state.is_open() && self.state.try_hold() {
            self.decide(-125);
            self.put();
        }
    }
}

fn posts_one_event(parties: &[fn(&Model)]) {
    let parties: Vec<fn(&Model)> = parties.to_vec();
    let mut model = loom::model::Builder::new();
    // More threads than preemptions: every pair of steps meets in every order.
    model.preemption_bound = Some(2);
    model.check(move || {
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
    });
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
