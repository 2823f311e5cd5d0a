//! An eventfd announces completions: each time it does, all slots that are free are submitted.

use std::fs::File;

use aio::aio_abi::Iocb;

use super::super::job::{Access, Job};
use super::announced::Announced;
use super::libaio::Libaio;
use super::phase::{Phase, now};
use super::requests::Requests;
use super::slots::Slots;
use super::{Load, Outcome, fail_last, file};

/// Direct random reads.
pub struct Peeking<'a> {
    context: Announced<'a>,
    requests: Requests,
    slots: Slots,
    /// Keeps the file open.
    _file: File,
}

impl<'a> Peeking<'a> {
    /// `depth` requests in flight.
    pub fn prepare(job: &Job, depth: usize, library: &'a Libaio) -> Outcome<Peeking<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let context = Announced::prepare(depth, library)?;
        let mut requests = Requests::random_reads(&file, job.data_bytes, 0);
        requests.announce(context.fd());
        let slots = requests.slots(depth);
        Ok(Peeking { context, requests, slots, _file: file })
    }

    /// Sleeps until the eventfd is readable, and takes its count.
    fn wait(&mut self) -> Outcome {
        let fd = self.context.fd();
        let mut ready = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: there is one pollfd.
        if unsafe { libc::poll(&raw mut ready, 1, -1) } != 1 {
            return fail_last("poll");
        }
        self.context.read()
    }
}

impl Load for Peeking<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        let recorder = &mut phase.recorder;
        let mut free: Vec<usize> = (0..self.slots.len()).collect();
        let mut pointers: Vec<*mut Iocb> = Vec::with_capacity(free.len());
        let mut events = Vec::with_capacity(free.len());
        loop {
            if !deadline.is_over() {
                let start = recorder.start();
                pointers.clear();
                for index in free.drain(..) {
                    let slot = self.slots.get(index)?;
                    self.requests.prepare(slot);
                    slot.start = start;
                    pointers.push(self.slots.iocb(index));
                }
                // The events of the last wake-up may all have been taken at the one before.
                if !pointers.is_empty() {
                    let before = now();
                    // SAFETY: slots and their buffers live as long as the process.
                    unsafe { self.context.submit(&pointers)? };
                    recorder.submit.add(now() - before);
                }
            } else if free.len() == self.slots.len() {
                break;
            }
            self.wait()?;
            self.context.take(&mut events)?;
            let end = now();
            for event in &events {
                free.push(self.requests.finish(&mut self.slots, event, end, recorder)?);
            }
        }
        while self.context.is_early() {
            self.wait()?;
        }
        self.context.take(&mut events)
    }
}
