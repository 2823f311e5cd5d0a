//! `src/engine/idle.rs` between workers of the pool and who brings them work. loom reports a
//! deadlock if there is work, and everybody sleeps.

use libc::timespec;
use loom::sync::Arc;
use loom::thread;

use crate::engine::idle::{Idle, Rest};
use crate::explore;
use crate::sync::{AtomicU32, Ordering, fence};

/// The pool.
#[derive(Default)]
struct Pool {
    idle: Idle,
    queued: AtomicU32,
    /// Workers at work.
    busy: AtomicU32,
    workers: u32,
}

const DEADLINE: timespec = timespec { tv_sec: 0, tv_nsec: 0 };

impl Pool {
    /// `Pool::call_workers`.
    fn call_workers(&self) {
        // SeqCst: as in `src/engine/pool.rs`.
        fence(Ordering::SeqCst);
        let at_work = self.busy.load(Ordering::Relaxed) + self.idle.count();
        let searching = self.workers.saturating_sub(at_work);
        let missing = self.queued.load(Ordering::Relaxed).saturating_sub(searching);
        if missing > 0 {
            self.idle.wake(missing);
        }
    }

    /// A batch of `count` requests.
    fn submit(&self, count: u32) {
        self.queued.fetch_add(count, Ordering::Relaxed);
        self.call_workers();
    }

    /// `Pool::take`. The lock of the queue keeps two workers from one request.
    fn take(&self) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        self.busy.fetch_add(1, Ordering::Relaxed);
        // Release: as in `src/engine/pool.rs`.
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        if queued > 0 && self.queued.compare_exchange(queued, queued - 1, success, failure).is_ok()
        {
            self.call_workers();
            return true;
        }
        self.busy.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// The worker `number` does `count` requests, and is at the last one for ever.
    fn work(&self, number: u32, count: u32) {
        for done in 0..count {
            if done > 0 {
                self.busy.fetch_sub(1, Ordering::Relaxed);
            }
            while !self.take() {
                let has_work = || self.queued.load(Ordering::Relaxed) > 0;
                assert_eq!(self.idle.sleep(number, &DEADLINE, has_work), Rest::Called);
            }
        }
    }
}

/// A submitter that brings batches of these sizes, and workers that do so many.
fn serve(preemptions: usize, batches: &'static [u32], counts: &'static [u32]) {
    explore(preemptions, move || {
        let pool = Arc::new(Pool { workers: counts.len() as u32, ..Pool::default() });
        let threads: Vec<_> = (0..)
            .zip(counts)
            .map(|(number, count)| {
                let pool = pool.clone();
                thread::spawn(move || pool.work(number, *count))
            })
            .collect();
        batches.iter().for_each(|count| pool.submit(*count));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(pool.queued.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_worker_hears_of_each_request() {
    serve(3, &[1, 1], &[2]);
}

#[test]
fn a_batch_is_shared() {
    serve(1, &[2], &[1, 1]);
}

#[test]
fn nobody_relies_on_who_is_at_work() {
    serve(1, &[1, 1], &[1, 1]);
}
