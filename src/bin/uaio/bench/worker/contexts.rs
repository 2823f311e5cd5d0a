//! Many contexts, used one after the other.

use std::fs::File;

use super::super::job::{Access, Job};
use super::libaio::{Context, Libaio};
use super::lifecycle::read;
use super::phase::{Phase, now};
use super::requests::Requests;
use super::slots::Slots;
use super::{Load, Outcome, file};

/// Requests that a context is made for.
const EVENTS: usize = 8;

/// Direct random reads, one at a time. The contexts end with the process: to destroy a thousand
/// takes the kernel half a minute.
pub struct Contexts<'a> {
    contexts: Vec<Context<'a>>,
    requests: Requests,
    slots: Slots,
    /// Keeps the file open.
    _file: File,
}

impl<'a> Contexts<'a> {
    /// Makes them and uses each once, so that what is made on first use exists.
    pub fn prepare(job: &Job, count: usize, library: &'a Libaio) -> Outcome<Contexts<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let contexts: Vec<Context> =
            (0..count).map(|_| library.setup(EVENTS)).collect::<Outcome<_>>()?;
        let mut requests = Requests::random_reads(&file, job.data_bytes, 0);
        let mut slots = requests.slots(1);
        for context in &contexts {
            read(context, &mut requests, &mut slots)?;
        }
        Ok(Contexts { contexts, requests, slots, _file: file })
    }
}

impl Load for Contexts<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        loop {
            for context in &self.contexts {
                let start = now();
                let took = read(context, &mut self.requests, &mut self.slots)?;
                phase.recorder.latency.add(now() - start);
                phase.recorder.submit.add(took);
                phase.recorder.ops += 1;
                phase.recorder.events += 1;
                if deadline.is_over() {
                    return Ok(());
                }
            }
        }
    }
}
