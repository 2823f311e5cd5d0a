//! Two threads on one context: one submits, the other reaps and hands the slots back.

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use aio::aio_abi::{Event, Iocb};

use super::super::job::{Access, Job};
use super::libaio::{Context, Libaio};
use super::phase::{Phase, Recorder, now};
use super::requests::Requests;
use super::slots::{self, Slots};
use super::threads::{joined, or_exit};
use super::{Load, Outcome, Stop, file};

/// Requests of one io_submit at most.
const BATCH: usize = 16;

/// Direct random reads.
pub struct SubmitterAndReaper<'a> {
    file: File,
    bytes: u64,
    slots: Slots,
    context: Context<'a>,
}

impl<'a> SubmitterAndReaper<'a> {
    /// Up to `depth` requests in flight.
    pub fn prepare(
        job: &Job,
        depth: usize,
        library: &'a Libaio,
    ) -> Outcome<SubmitterAndReaper<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let slots = Requests::random_reads(&file, job.data_bytes, 0).slots(depth);
        let context = library.setup(depth)?;
        Ok(SubmitterAndReaper { file, bytes: job.data_bytes, slots, context })
    }

    /// Submits what is free until the time is over; `total` then says how many there were.
    fn submit(
        &self,
        phase: &Phase,
        free: &Receiver<usize>,
        total: &AtomicU64,
    ) -> Outcome<Recorder> {
        let mut recorder = phase.recorder.fork();
        let mut requests = Requests::random_reads(&self.file, self.bytes, 0);
        let deadline = phase.deadline();
        let (mut pointers, mut submitted) = (Vec::<*mut Iocb>::with_capacity(BATCH), 0);
        loop {
            pointers.clear();
            let gone = |_| Stop::Fail("the reaper is gone".to_string());
            let mut next = Some(free.recv().map_err(gone)?);
            let start = recorder.start();
            while let Some(index) = next {
                // SAFETY: the reaper hands over slots that are not in flight.
                let slot = unsafe { &mut *self.slots.pointer(index) };
                requests.prepare(slot);
                slot.start = start;
                pointers.push(self.slots.iocb(index));
                next = if pointers.len() < BATCH { free.try_recv().ok() } else { None };
            }
            submitted += pointers.len() as u64;
            let is_over = deadline.is_over();
            if is_over {
                // Before the last batch, so that the reaper knows it when it wakes for that.
                // Release: nothing but the count itself is read after the Acquire load.
                total.store(submitted, Ordering::Release);
            }
            let before = now();
            // SAFETY: slots and their buffers live as long as the process.
            unsafe { self.context.submit(&pointers)? };
            recorder.submit.add(now() - before);
            if is_over {
                return Ok(recorder);
            }
        }
    }

    /// Reaps until `total` requests are done.
    fn reap(&self, phase: &Phase, free: &Sender<usize>, total: &AtomicU64) -> Outcome<Recorder> {
        let mut recorder = phase.recorder.fork();
        let mut events = vec![Event::default(); self.slots.len()];
        // Acquire: pairs with the Release store of `submit`.
        while recorder.events < total.load(Ordering::Acquire) {
            let events = self.context.reap(1, &mut events)?;
            let end = now();
            for event in events {
                let index = self.slots.index_of(event)?;
                // SAFETY: whoever reaps an event owns its slot.
                let slot = unsafe { &*self.slots.pointer(index) };
                slots::check(event, slot.expected)?;
                if let Some(start) = slot.start {
                    recorder.latency.add(end - start);
                }
                // At the end nobody receives it.
                let _ = free.send(index);
            }
            recorder.ops += events.len() as u64;
            recorder.events += events.len() as u64;
        }
        Ok(recorder)
    }
}

impl Load for SubmitterAndReaper<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        let total = AtomicU64::new(u64::MAX);
        let (sender, receiver) = mpsc::channel();
        for index in 0..self.slots.len() {
            // The receiver is alive.
            let _ = sender.send(index);
        }
        let recorders = thread::scope(|scope| {
            let (this, phase, total) = (&*self, &*phase, &total);
            let reaper = scope.spawn(move || or_exit(this.reap(phase, &sender, total)));
            [Ok(or_exit(this.submit(phase, &receiver, total))), joined(reaper)]
        });
        for recorder in recorders {
            phase.recorder.merge(recorder?);
        }
        Ok(())
    }
}
