//! A stretch of time in which operations are counted: clock, CPU time, durations.

use std::mem::MaybeUninit;
use std::time::Duration;

use super::super::job::{Percentiles, Sample};
use super::super::stats;

/// Durations kept at most; more are thinned out.
const KEPT: usize = 1 << 17;

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec; these clocks always exist.
    unsafe { libc::clock_gettime(id, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// CPU time of the process in user mode and in the kernel, in nanoseconds.
pub fn cpu() -> (u64, u64) {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: getrusage fills the structure; with this argument it cannot fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let nanoseconds =
        |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1000;
    (nanoseconds(usage.ru_utime), nanoseconds(usage.ru_stime))
}

/// When a phase is over. The clock is the coarse one: a few nanoseconds to read, late by a tick.
#[derive(Clone, Copy)]
pub struct Deadline(u64);

impl Deadline {
    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        clock(libc::CLOCK_MONOTONIC_COARSE) >= self.0
    }
}

/// The counting of one thread.
pub struct Recorder {
    /// Operations done.
    pub ops: u64,
    /// Events reaped.
    pub events: u64,
    /// From submission to reaping.
    pub latency: Durations,
    /// Of the io_submit call.
    pub submit: Durations,
    /// One of so many batches is timed.
    every: u32,
    next: u32,
}

impl Recorder {
    /// Nothing was counted; one of `every` batches is to be timed.
    pub fn new(every: u32) -> Recorder {
        let durations = Durations::default;
        Recorder { ops: 0, events: 0, latency: durations(), submit: durations(), every, next: 1 }
    }

    /// The time, if this batch is to be timed.
    pub fn start(&mut self) -> Option<u64> {
        self.next -= 1;
        if self.next > 0 {
            return None;
        }
        self.next = self.every;
        Some(now())
    }

    /// Another thread's counts are added.
    pub fn merge(&mut self, other: Recorder) {
        self.ops += other.ops;
        self.events += other.events;
        self.latency.merge(other.latency);
        self.submit.merge(other.submit);
    }

    /// For a thread that counts for itself.
    pub fn fork(&self) -> Recorder {
        Recorder::new(self.every)
    }
}

/// Durations, evenly thinned out when they become many.
#[derive(Default)]
pub struct Durations {
    kept: Vec<u64>,
    max: u64,
    /// One of `2^thinned` is kept.
    thinned: u32,
    seen: u64,
}

impl Durations {
    /// Adds one.
    pub fn add(&mut self, duration: u64) {
        self.max = self.max.max(duration);
        self.seen += 1;
        if !self.seen.is_multiple_of(1 << self.thinned) {
            return;
        }
        if self.kept.len() == KEPT {
            let mut keep = false;
            self.kept.retain(|_| {
                keep = !keep;
                keep
            });
            self.thinned += 1;
        }
        self.kept.push(duration);
    }

    fn merge(&mut self, other: Durations) {
        // Both must be thinned alike, or one thread would count more than the other.
        let (ours, theirs) = (self.thinned, other.thinned);
        let step = |more: u32, less: u32| 1_usize << more.saturating_sub(less);
        let kept = self.kept.iter().step_by(step(theirs, ours));
        let others = other.kept.iter().step_by(step(ours, theirs));
        self.kept = kept.chain(others).copied().collect();
        self.max = self.max.max(other.max);
        self.thinned = ours.max(theirs);
        self.seen += other.seen;
    }

    fn percentiles(mut self) -> Percentiles {
        stats::percentiles(&mut self.kept, self.max)
    }
}

/// Wall-clock and CPU time, and what was done in it. It does not run before `resume`.
pub struct Phase {
    /// What was done.
    pub recorder: Recorder,
    /// Results are looked at more closely, as nothing is counted.
    pub is_warm_up: bool,
    length: u64,
    wall: u64,
    user: u64,
    system: u64,
    since: Option<(u64, (u64, u64))>,
}

impl Phase {
    /// A phase of this length, in which one of `every` batches is timed.
    pub fn new(length: Duration, every: u32, is_warm_up: bool) -> Phase {
        let length = length.as_nanos() as u64;
        let recorder = Recorder::new(every);
        Phase { recorder, is_warm_up, length, wall: 0, user: 0, system: 0, since: None }
    }

    /// Its length in nanoseconds.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Time counts from here.
    pub fn resume(&mut self) {
        let cpu = cpu();
        self.since = Some((now(), cpu));
    }

    /// Time does not count from here.
    pub fn pause(&mut self) {
        let Some((wall, (user, system))) = self.since.take() else { return };
        self.wall += now() - wall;
        let (user_now, system_now) = cpu();
        self.user += user_now.saturating_sub(user);
        self.system += system_now.saturating_sub(system);
    }

    /// When it is over, if it is not paused until then.
    pub fn deadline(&self) -> Deadline {
        let start = self.since.map_or_else(now, |(wall, _)| wall);
        Deadline(start + self.length.saturating_sub(self.wall))
    }

    /// The result.
    pub fn sample(self, baseline_ns: Option<f64>, uring: bool) -> Sample {
        let Recorder { ops, events, latency, submit, .. } = self.recorder;
        Sample {
            ops,
            events,
            errors: 0,
            wall_ns: self.wall,
            user_ns: self.user,
            system_ns: self.system,
            latency: latency.percentiles(),
            submit: submit.percentiles(),
            baseline_ns,
            blocking_calls: Vec::new(),
            uring,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_durations_are_thinned_out_evenly() {
        let mut durations = Durations::default();
        let count = 5 * KEPT as u64;
        for duration in 1..=count {
            durations.add(duration);
        }
        assert!(durations.kept.len() <= KEPT);
        let picked = durations.percentiles();
        assert_eq!(picked.max, count);
        for (is, ideal) in [(picked.p50, 0.5), (picked.p99, 0.99)] {
            let part = is as f64 / count as f64;
            assert!((part - ideal).abs() < 0.01, "{part} is not {ideal}");
        }
    }

    #[test]
    fn durations_of_two_threads_have_the_same_weight() {
        let (mut few, mut many) = (Durations::default(), Durations::default());
        (0..1000).for_each(|_| few.add(1));
        (0..3 * KEPT as u64).for_each(|_| many.add(2));
        few.merge(many);
        let ones = few.kept.iter().filter(|&&duration| duration == 1).count();
        assert_eq!(ones, 250);
        assert_eq!((few.percentiles().p50, KEPT), (2, 1 << 17));
    }

    #[test]
    fn one_batch_of_many_is_timed() {
        let mut recorder = Recorder::new(8);
        let timed: Vec<usize> = (0..20).filter(|_| recorder.start().is_some()).collect();
        assert_eq!(timed, [0, 8, 16]);
    }

    #[test]
    fn a_pause_does_not_count() {
        let mut phase = Phase::new(Duration::from_millis(50), 1, false);
        phase.resume();
        assert!(!phase.deadline().is_over());
        phase.pause();
        std::thread::sleep(Duration::from_millis(60));
        phase.resume();
        assert!(!phase.deadline().is_over());
        std::thread::sleep(Duration::from_millis(60));
        assert!(phase.deadline().is_over());
        phase.pause();
        let sample = phase.sample(None, false);
        assert!((60_000_000..110_000_000).contains(&sample.wall_ns), "{}", sample.wall_ns);
    }
}
