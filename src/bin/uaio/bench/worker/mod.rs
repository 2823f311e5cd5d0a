//! `uaio bench-worker JOB`: makes one measurement on one libaio, in a process of its own.
//!
//! The process loads that library and no other, so that its CPU time is the library's with all its
//! threads, and prints an [`Answer`] as one line of JSON. A wrong result of any request ends it
//! with a message; so does a library other than the one that was asked for.

mod announced;
mod contexts;
mod disk;
mod eventfd;
mod file;
mod interruptions;
mod libaio;
mod lifecycle;
mod offsets;
mod phase;
mod pipeline;
mod polls;
mod qemu;
mod requests;
mod shared;
mod slots;
mod split;
mod threads;

use std::fs;
use std::time::Duration;

use super::blocking::BlockingCalls;
use super::job::{Answer, Job, Kind, Sample, Sharing};
use crate::failure::Failure;
use crate::output;
use libaio::Libaio;
use phase::Phase;

/// Enough for ten thousand polls, with a descriptor of the library for each.
const DESCRIPTORS: libc::rlim_t = 65_536;

/// Why there is no sample.
pub enum Stop {
    /// The machine lacks what the workload needs.
    Skip(String),
    /// Something is wrong.
    Fail(String),
}

type Outcome<T = ()> = Result<T, Stop>;

/// Fails with the text of `errno`, which `call` gave.
fn fail<T>(call: &str, errno: i32) -> Outcome<T> {
    let error = std::io::Error::from_raw_os_error(errno);
    Err(Stop::Fail(format!("{call}: {}", crate::failure::reason(&error))))
}

/// Fails as the last system call did.
fn fail_last<T>(call: &str) -> Outcome<T> {
    fail(call, std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// A workload, ready to be run for a while, as often as one likes.
trait Load {
    /// Runs until the phase is over, and leaves nothing in flight.
    fn run(&mut self, phase: &mut Phase) -> Outcome;

    /// CPU time of an operation without the library, if the workload knows it.
    fn baseline_ns(&self) -> Option<f64> {
        None
    }

    /// What became of the workload's own blocking calls, if it made any.
    fn blocking_calls(&self) -> Vec<BlockingCalls> {
        Vec::new()
    }

    /// Waits for what would disturb the next measurement.
    fn settle(&mut self) -> Outcome {
        Ok(())
    }
}

/// Does the job that the command line names, and prints the answer.
pub fn run(job: &str) -> Result<(), Failure> {
    let job: Job = serde_json::from_str(job)
        .map_err(|error| Failure::Usage(format!("bench-worker: not a job: {error}")))?;
    let answer = match measure(&job) {
        Ok(sample) => Answer::Measured(sample),
        Err(Stop::Skip(reason)) => Answer::Skipped(reason),
        Err(Stop::Fail(what)) => return Err(Failure::Job(what)),
    };
    let line = serde_json::to_string(&answer)
        .map_err(|error| Failure::Job(format!("bench-worker: {error}")))?;
    output::say(&format!("{line}\n"))
}

fn measure(job: &Job) -> Outcome<Sample> {
    raise_descriptor_limit();
    let library = Libaio::load(&job.library)?;
    let mut load = prepare(job, &library)?;
    let run = |load: &mut dyn Load, seconds: f64, warming| -> Outcome<Phase> {
        let mut phase = Phase::new(Duration::from_secs_f64(seconds), sampling(&job.kind), warming);
        phase.resume();
        load.run(&mut phase)?;
        phase.pause();
        Ok(phase)
    };
    run(&mut *load, job.warm_up, true)?;
    let phase = run(&mut *load, job.seconds, false)?;
    let mut sample = phase.sample(load.baseline_ns(), has_uring());
    sample.blocking_calls = load.blocking_calls();
    load.settle()?;
    if sample.ops == 0 || sample.wall_ns == 0 {
        return Err(Stop::Skip("no operation was finished in the time given".to_string()));
    }
    Ok(sample)
}

fn prepare<'a>(job: &'a Job, library: &'a Libaio) -> Outcome<Box<dyn Load + 'a>> {
    Ok(match &job.kind {
        Kind::Disk(disk) => Box::new(disk::DiskLoad::prepare(job, disk, library)?),
        Kind::Threads { sharing: Sharing::OwnContexts, depth } => {
            Box::new(threads::OwnContexts::prepare(job, *depth, library)?)
        }
        Kind::Threads { sharing: Sharing::OneContext, depth } => {
            Box::new(shared::OneContext::prepare(job, *depth, library)?)
        }
        Kind::Threads { sharing: Sharing::SubmitterAndReaper, depth } => {
            Box::new(split::SubmitterAndReaper::prepare(job, *depth, library)?)
        }
        Kind::Eventfd { depth } => Box::new(eventfd::Peeking::prepare(job, *depth, library)?),
        Kind::Qemu { depth } => Box::new(qemu::EventLoop::prepare(job, *depth, library)?),
        Kind::Interruptions { depth } => {
            Box::new(interruptions::Interruptions::prepare(job, *depth, library)?)
        }
        &Kind::Polls { fds, idle, ready_first } => {
            Box::new(polls::Polls::prepare(fds, idle, ready_first, library)?)
        }
        &Kind::Lifecycle { with_read } => {
            Box::new(lifecycle::Lifecycle::prepare(job, with_read, library)?)
        }
        Kind::Contexts { count } => Box::new(contexts::Contexts::prepare(job, *count, library)?),
    })
}

/// One of so many batches is timed: reading the clock must not weigh where a batch takes less than
/// a few microseconds.
fn sampling(kind: &Kind) -> u32 {
    match kind {
        Kind::Disk(disk) => disk::sampling(disk),
        Kind::Polls { fds, .. } if *fds < 16 => 8,
        _ => 1,
    }
}

/// Many contexts, polls and rings need more than the usual 1024 descriptors.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls work on this one structure. If they fail, the limit stays as it is, and
    // whoever needs more finds out.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return;
        }
        // Beyond the hard limit only with CAP_SYS_RESOURCE.
        let ample = limit.rlim_max.max(DESCRIPTORS);
        let more = libc::rlimit { rlim_cur: ample, rlim_max: ample };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const more) != 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Whether this process has an io_uring, as a descriptor or mapped.
fn has_uring() -> bool {
    const NAME: &str = "anon_inode:[io_uring]";
    let descriptors = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    descriptors
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|file| file.as_os_str() == NAME)
        || fs::read_to_string("/proc/self/maps").is_ok_and(|maps| maps.contains(NAME))
}
