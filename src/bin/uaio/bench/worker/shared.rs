//! Two threads that both submit and reap on one context.
//!
//! Whoever reaps an event owns its slot and submits the next request with it. At the end a thread
//! may be asleep in io_getevents while the other has reaped the last event: the last one out
//! submits a read for the sleeper.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aio::aio_abi::{Event, Iocb};

use super::super::job::{Access, Job};
use super::libaio::{Context, Libaio};
use super::phase::{Phase, Recorder, now};
use super::requests::Requests;
use super::slots::{self, Slots};
use super::threads::{joined, or_exit};
use super::{Load, Outcome, file};

const THREADS: usize = 2;

/// Direct random reads.
pub struct OneContext<'a> {
    file: File,
    bytes: u64,
    slots: Slots,
    context: Context<'a>,
}

/// What is still going on once the time is over.
struct Remaining {
    requests: AtomicUsize,
    threads: AtomicUsize,
}

/// What a thread does that submits no more.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It goes on reaping.
    Reap,
    /// It was the last thread.
    Leave,
    /// It submits a read, since the other thread waits for an event that nobody else will cause.
    WakeAndLeave,
}

impl Remaining {
    /// After reaping `events` that are not replaced.
    fn finish(&self, events: usize) -> Next {
        // AcqRel: whoever brings the count to 0 sees what the other did before its own share.
        if self.requests.fetch_sub(events, Ordering::AcqRel) > events {
            return Next::Reap;
        }
        // AcqRel: of two threads only one is the first.
        if self.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            return Next::Leave;
        }
        // Relaxed: the other thread learns of it by reaping that request.
        self.requests.store(1, Ordering::Relaxed);
        Next::WakeAndLeave
    }
}

impl<'a> OneContext<'a> {
    /// `depth` is that of both threads together.
    pub fn prepare(job: &Job, depth: usize, library: &'a Libaio) -> Outcome<OneContext<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let slots = Requests::random_reads(&file, job.data_bytes, 0).slots(depth);
        Ok(OneContext { file, bytes: job.data_bytes, slots, context: library.setup(depth)? })
    }

    /// What one thread does, beginning with the slots of `own`.
    fn work(&self, own: Range<usize>, phase: &Phase, remaining: &Remaining) -> Outcome<Recorder> {
        let mut recorder = phase.recorder.fork();
        let mut requests = Requests::random_reads(&self.file, self.bytes, own.start as u64);
        requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        let mut events = vec![Event::default(); own.len()];
        let mut pointers = Vec::with_capacity(own.len());
        let start = recorder.start();
        for index in own {
            // SAFETY: nobody else has a slot of `own` before it is submitted.
            let slot = unsafe { &mut *self.slots.pointer(index) };
            requests.prepare(slot);
            slot.start = start;
            pointers.push(self.slots.iocb(index));
        }
        self.submit(&pointers)?;
        loop {
            let events = self.context.reap(1, &mut events)?;
            let end = now();
            recorder.ops += events.len() as u64;
            recorder.events += events.len() as u64;
            pointers.clear();
            let (is_over, start) = (deadline.is_over(), recorder.start());
            for event in events {
                let index = self.slots.index_of(event)?;
                // SAFETY: whoever reaps an event owns its slot.
                let slot = unsafe { &mut *self.slots.pointer(index) };
                slots::check(event, slot.expected)?;
                requests.verify(slot)?;
                if let Some(start) = slot.start {
                    recorder.latency.add(end - start);
                }
                if !is_over {
                    requests.prepare(slot);
                    slot.start = start;
                    pointers.push(self.slots.iocb(index));
                }
            }
            if pointers.is_empty() {
                match remaining.finish(events.len()) {
                    Next::Reap => continue,
                    Next::Leave => return Ok(recorder),
                    Next::WakeAndLeave => {
                        let index = events.first().map_or(0, |event| event.data as usize);
                        // SAFETY: as above.
                        unsafe { (*self.slots.pointer(index)).start = None };
                        self.submit(&[self.slots.iocb(index)])?;
                        return Ok(recorder);
                    }
                }
            }
            let before = now();
            self.submit(&pointers)?;
            recorder.submit.add(now() - before);
        }
    }

    fn submit(&self, pointers: &[*mut Iocb]) -> Outcome {
        // SAFETY: slots and their buffers live as long as the process.
        unsafe { self.context.submit(pointers) }
    }
}

impl Load for OneContext<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        let depth = self.slots.len();
        let remaining =
            Remaining { requests: AtomicUsize::new(depth), threads: AtomicUsize::new(THREADS) };
        let recorders = thread::scope(|scope| {
            let (this, phase, remaining) = (&*self, &*phase, &remaining);
            let work = move |own| or_exit(this.work(own, phase, remaining));
            let other = scope.spawn(move || work(depth / THREADS..depth));
            [Ok(work(0..depth / THREADS)), joined(other)]
        });
        for recorder in recorders {
            phase.recorder.merge(recorder?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thread_that_finds_nothing_in_flight_wakes_the_other() {
        let remaining = Remaining { requests: AtomicUsize::new(5), threads: AtomicUsize::new(2) };
        assert_eq!(remaining.finish(2), Next::Reap);
        assert_eq!(remaining.finish(2), Next::Reap);
        assert_eq!(remaining.finish(1), Next::WakeAndLeave);
        assert_eq!(remaining.finish(1), Next::Leave);
    }
}
