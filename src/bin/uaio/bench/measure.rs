//! The rounds: each side of each workload in turn, in random order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::child::{self, Trouble};
use super::job::{Answer, Sample};
use super::plan::Workload;
use super::progress::Progress;
use super::random::Random;
use super::results::{Measured, Round, Status};
use super::subjects::Subject;
use super::workspace::Workspace;
use crate::failure::Failure;
use crate::signals::Signals;

/// The warm-up, as a part of the time that counts.
pub const WARM_UP: f64 = 0.2;
/// What starting and ending a process costs, before it is known: kernel AIO needs 30 ms to end.
pub const OVERHEAD: f64 = 0.03;
/// Shorter measurements say nothing.
const SHORTEST: f64 = 0.01;

/// How and for how long to measure.
pub struct Measurer<'a> {
    /// Who is measured. The first is the base.
    pub subjects: &'a [Subject],
    /// Where.
    pub workspace: &'a Workspace,
    /// What may interrupt us.
    pub signals: &'a Signals,
    /// Rounds of each workload.
    pub pairs: usize,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// When everything must be done.
    pub deadline: Option<Instant>,
}

impl Measurer<'_> {
    /// Measures all of `plan`.
    pub fn run(
        &self,
        plan: &[Workload],
        progress: &mut Progress,
    ) -> Result<Vec<Measured>, Failure> {
        let names: Vec<String> = self.subjects.iter().map(|it| it.name.to_string()).collect();
        let mut random = Random::from_clock();
        let mut clock = Clock { overhead: OVERHEAD, deadline: self.deadline };
        let mut all = Vec::new();
        for (index, workload) in plan.iter().enumerate() {
            let steps = self.pairs * self.subjects.len();
            progress.begin(&workload.name);
            let mut measured = Measured {
                name: workload.name.clone(),
                about: workload.about.clone(),
                workload: workload.kind.clone(),
                status: Status::Measured,
                seconds: 0.0,
                rounds: Vec::new(),
                base: None,
                comparisons: Vec::new(),
                noisy: false,
                blocking_calls: BTreeMap::new(),
            };
            match clock.seconds(self.seconds, (plan.len() - index) * steps) {
                Some(seconds) => {
                    measured.seconds = seconds;
                    self.run_workload(&mut measured, &mut clock, &mut random, progress)?;
                    measured.conclude(names.first().map_or("", |name| name), &names);
                }
                None => measured.status = Status::NotReached(0),
            }
            progress.end(&measured);
            all.push(measured);
        }
        Ok(all)
    }

    fn run_workload(
        &self,
        measured: &mut Measured,
        clock: &mut Clock,
        random: &mut Random,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        for done in 0..self.pairs {
            if clock.is_over() {
                measured.status = Status::NotReached(done);
                return Ok(());
            }
            let mut order: Vec<&Subject> = self.subjects.iter().collect();
            random.shuffle(&mut order);
            let mut samples = BTreeMap::new();
            for subject in &order {
                let start = Instant::now();
                match self.ask(measured, subject, clock.deadline)? {
                    Ok(sample) => samples.insert(subject.name.to_string(), sample),
                    Err(status) => {
                        measured.status = status;
                        return Ok(());
                    }
                };
                clock.learn(start.elapsed().as_secs_f64() - measured.seconds);
                progress.step();
            }
            let order = order.iter().map(|subject| subject.name.to_string()).collect();
            measured.rounds.push(Round { order, samples });
        }
        Ok(())
    }

    fn ask(
        &self,
        measured: &Measured,
        subject: &Subject,
        deadline: Option<Instant>,
    ) -> Result<Result<Sample, Status>, Failure> {
        let seconds = measured.seconds;
        let kind = measured.workload.clone();
        let job = self.workspace.job(&subject.library, kind, seconds * WARM_UP, seconds);
        // A thousand contexts or slow syncs take their time beyond the phases.
        let patience = if deadline.is_some() { 3.0 } else { 30.0 };
        let limit = Duration::from_secs_f64(patience + 4.0 * seconds);
        match child::ask(&job, subject, self.signals, limit) {
            Ok(Answer::Measured(sample)) => Ok(Ok(sample)),
            Ok(Answer::Skipped(reason)) => {
                Ok(Err(Status::Skipped(format!("{}: {reason}", subject.name))))
            }
            Err(Trouble::Measurement(what)) => {
                Ok(Err(Status::Failed(format!("{}: {what}", subject.name))))
            }
            Err(Trouble::Ours(failure)) => Err(failure),
        }
    }
}

/// Shares out what is left of the time.
struct Clock {
    /// Seconds that a measurement takes beyond its own.
    overhead: f64,
    deadline: Option<Instant>,
}

impl Clock {
    /// Whether there is no time left.
    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// How long each of the `remaining` measurements may be; none if there is no time left.
    fn seconds(&self, wanted: f64, remaining: usize) -> Option<f64> {
        let Some(deadline) = self.deadline else { return Some(wanted) };
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        share(left, remaining, self.overhead).map(|seconds| seconds.min(wanted))
    }

    /// A measurement took so much beyond its own time, warm-up included.
    fn learn(&mut self, extra: f64) {
        self.overhead += 0.05 * (extra - self.overhead);
    }
}

/// Each of `remaining` measurements gets so much of `left`; none if that is too short.
fn share(left: f64, remaining: usize, overhead: f64) -> Option<f64> {
    let each = left / remaining as f64 - overhead;
    if each >= SHORTEST {
        Some(each)
    } else {
        // Short of time, the first ones are done and the last ones are not.
        (left > 1.0).then_some(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shared_out() {
        assert_eq!(share(10.0, 20, 0.25), Some(0.25));
        assert_eq!(share(10.0, 1000, 0.25), Some(SHORTEST));
        assert_eq!(share(0.5, 1000, 0.25), None);
        let endless = Clock { overhead: 1.0, deadline: None };
        assert_eq!(endless.seconds(0.5, 1 << 30), Some(0.5));
        let over = Clock { overhead: 0.0, deadline: Some(Instant::now()) };
        assert_eq!(over.seconds(0.5, 1), None);
    }
}
