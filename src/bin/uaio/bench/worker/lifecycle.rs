//! io_setup and io_destroy, again and again.

use std::fs::File;

use aio::aio_abi::Event;

use super::super::job::{Access, Job};
use super::libaio::{Context, Libaio};
use super::phase::{Phase, now};
use super::requests::Requests;
use super::slots::Slots;
use super::{Load, Outcome, file};

/// Requests that a context is made for.
const EVENTS: usize = 32;

/// Contexts, one after the other.
pub struct Lifecycle<'a> {
    library: &'a Libaio,
    with_read: bool,
    requests: Requests,
    slots: Slots,
    /// Keeps the file open.
    _file: File,
}

impl<'a> Lifecycle<'a> {
    /// With one direct read in each context, or with nothing.
    pub fn prepare(job: &Job, with_read: bool, library: &'a Libaio) -> Outcome<Lifecycle<'a>> {
        let access = if with_read { Access::Direct } else { Access::Cached };
        let file = file::open_data(job, access)?;
        let requests = Requests::random_reads(&file, job.data_bytes, 0);
        let slots = requests.slots(1);
        Ok(Lifecycle { library, with_read, requests, slots, _file: file })
    }
}

impl Load for Lifecycle<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        // At least once: on the kernel's own, one takes longer than some phases.
        loop {
            let start = now();
            let context = self.library.setup(EVENTS)?;
            if self.with_read {
                let took = read(&context, &mut self.requests, &mut self.slots)?;
                phase.recorder.submit.add(took);
                phase.recorder.events += 1;
            }
            context.destroy()?;
            phase.recorder.latency.add(now() - start);
            phase.recorder.ops += 1;
            if deadline.is_over() {
                return Ok(());
            }
        }
    }
}

/// One read, from beginning to end; the duration of its io_submit.
pub fn read(context: &Context, requests: &mut Requests, slots: &mut Slots) -> Outcome<u64> {
    requests.prepare(slots.get(0)?);
    let before = now();
    // SAFETY: slots and their buffers live as long as the process.
    unsafe { context.submit(&[slots.iocb(0)])? };
    let took = now() - before;
    let mut events = [Event::default()];
    for event in context.reap(1, &mut events)? {
        let (_, slot) = slots.claim(event)?;
        requests.verify(slot)?;
    }
    Ok(took)
}
