//! Two threads, each with a context of its own.

use std::sync::Barrier;
use std::thread;

use super::super::job::{Access, Job};
use super::libaio::Libaio;
use super::phase::{Phase, Recorder};
use super::pipeline::Pipeline;
use super::requests::Requests;
use super::{Load, Outcome, Stop, file};
use crate::output;

const THREADS: usize = 2;

/// Direct random reads.
pub struct OwnContexts<'a> {
    file: std::fs::File,
    bytes: u64,
    depth: usize,
    library: &'a Libaio,
}

impl<'a> OwnContexts<'a> {
    /// `depth` is that of both threads together.
    pub fn prepare(job: &Job, depth: usize, library: &'a Libaio) -> Outcome<OwnContexts<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        Ok(OwnContexts { file, bytes: job.data_bytes, depth: depth / THREADS, library })
    }

    /// What one thread does.
    fn work(&self, seed: u64, phase: &Phase, start: &Barrier) -> Outcome<Recorder> {
        let prepared = self.library.setup(self.depth).map(|context| {
            let mut requests = Requests::random_reads(&self.file, self.bytes, seed);
            requests.verifies = phase.is_warm_up;
            Pipeline::new(context, requests, self.depth, 1)
        });
        // Whoever fails must not leave the other waiting.
        start.wait();
        let mut recorder = phase.recorder.fork();
        prepared?.run(phase.deadline(), &mut recorder)?;
        Ok(recorder)
    }
}

impl Load for OwnContexts<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        let start = Barrier::new(THREADS);
        let recorders = thread::scope(|scope| {
            let (this, phase, start) = (&*self, &*phase, &start);
            let other = scope.spawn(move || this.work(2, phase, start));
            [this.work(1, phase, start), joined(other).and_then(|it| it)]
        });
        for recorder in recorders {
            phase.recorder.merge(recorder?);
        }
        Ok(())
    }
}

/// The result of a thread.
pub fn joined<T>(thread: thread::ScopedJoinHandle<T>) -> Outcome<T> {
    thread.join().map_err(|_| Stop::Fail("a thread panicked".to_string()))
}

/// Ends the process where another thread would wait for ever for what has failed here.
pub fn or_exit<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(Stop::Fail(what) | Stop::Skip(what)) => {
            output::complain(&what);
            std::process::exit(1);
        }
    }
}
