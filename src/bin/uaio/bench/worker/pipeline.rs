//! One thread that keeps a number of requests in flight on one context.

use aio::aio_abi::{Event, IOCB_CMD_PREAD, Iocb};

use super::Outcome;
use super::libaio::Context;
use super::phase::{Deadline, Recorder, now};
use super::requests::Requests;
use super::slots::Slots;

/// Why it stopped, with nothing in flight.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The time is over.
    Time,
    /// There are no more requests.
    Pass,
}

/// Requests that are submitted in batches and replaced when they are reaped.
pub struct Pipeline<'a> {
    /// What is requested.
    pub requests: Requests,
    context: Context<'a>,
    slots: Slots,
    batch: usize,
    free: Vec<usize>,
    pointers: Vec<*mut Iocb>,
    events: Vec<Event>,
}

impl<'a> Pipeline<'a> {
    /// Up to `depth` requests in flight, `batch` of them with each io_submit.
    pub fn new(
        context: Context<'a>,
        requests: Requests,
        depth: usize,
        batch: usize,
    ) -> Pipeline<'a> {
        let slots = requests.slots(depth);
        let (free, pointers) = ((0..depth).collect(), Vec::with_capacity(batch));
        let events = vec![Event::default(); depth];
        Pipeline { requests, context, slots, batch, free, pointers, events }
    }

    /// Goes on until the time is over or the requests are.
    pub fn run(&mut self, deadline: Deadline, recorder: &mut Recorder) -> Outcome<Ended> {
        let mut is_exhausted = false;
        for index in 0..self.slots.len() {
            // A write that was the last of its time is not followed by its fdsync.
            self.slots.get(index)?.iocb.lio_opcode = IOCB_CMD_PREAD;
        }
        loop {
            let is_over = deadline.is_over();
            while !is_over && !is_exhausted && self.free.len() >= self.batch {
                is_exhausted = !self.submit(recorder)?;
            }
            let in_flight = self.slots.len() - self.free.len();
            if in_flight == 0 {
                return Ok(if is_exhausted { Ended::Pass } else { Ended::Time });
            }
            let min = if is_over || is_exhausted {
                in_flight
            } else {
                self.batch.saturating_sub(self.free.len()).max(1)
            };
            self.reap(min, recorder)?;
        }
    }

    /// One io_submit of a batch; false if the requests have come to their end.
    fn submit(&mut self, recorder: &mut Recorder) -> Outcome<bool> {
        self.pointers.clear();
        let (start, mut begins) = (recorder.start(), true);
        while self.pointers.len() < self.batch {
            let Some(index) = self.free.pop() else { break };
            let slot = self.slots.get(index)?;
            if !self.requests.prepare(slot) {
                self.free.push(index);
                break;
            }
            // An fdsync counts from the submission of its write.
            begins = !self.requests.continues(slot);
            if begins {
                slot.start = start;
            }
            self.pointers.push(self.slots.iocb(index));
        }
        if self.pointers.is_empty() {
            return Ok(false);
        }
        // Of writes and fdsyncs in turn, whose durations differ, those of the fdsyncs are kept.
        let is_timed = start.is_some() && (!self.requests.syncs || !begins);
        let before = is_timed.then(now);
        // SAFETY: slots and their buffers live as long as the process.
        unsafe { self.context.submit(&self.pointers)? };
        if let Some(before) = before {
            recorder.submit.add(now() - before);
        }
        Ok(self.pointers.len() == self.batch)
    }

    fn reap(&mut self, min: usize, recorder: &mut Recorder) -> Outcome {
        let events = self.context.reap(min, &mut self.events)?;
        let mut end = None;
        for event in events {
            let (index, slot) = self.slots.claim(event)?;
            if self.requests.completes(slot) {
                recorder.ops += 1;
                if let Some(start) = slot.start {
                    recorder.latency.add(*end.get_or_insert_with(now) - start);
                }
            }
            self.requests.verify(slot)?;
            self.free.push(index);
        }
        recorder.events += events.len() as u64;
        Ok(())
    }
}
