//! What was measured, and what follows from it. This is what `--json` writes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::blocking::{self, BlockingCalls};
use super::facts::{Machine, Settings, SubjectFacts};
use super::job::{Kind, Percentiles, Sample};
use super::stats::Summary;
use super::tally::Tally;

/// The version of this format.
pub const FORMAT: u32 = 1;

/// The middle half of the base's throughput may be this wide, as a part of the median.
pub const NOISE_LIMIT: f64 = 0.10;

/// Everything.
#[derive(Debug, Serialize)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// Our version.
    pub uaio: String,
    /// The machine.
    pub machine: Machine,
    /// How it was measured.
    pub settings: Settings,
    /// What the others are compared with.
    pub base: String,
    /// Why that is not kernel AIO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_native: Option<String>,
    /// What was compared.
    pub subjects: Vec<SubjectFacts>,
    /// In the order of the plan.
    pub workloads: Vec<Measured>,
    /// What the closing line says of each side but the base.
    pub tallies: Vec<Tally>,
}

/// One workload.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// Its loop.
    pub workload: Kind,
    /// How it ended.
    pub status: Status,
    /// Seconds of each measurement.
    pub seconds: f64,
    /// One measurement of each side, in each.
    pub rounds: Vec<Round>,
    /// The base's own figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Figures>,
    /// Each other side.
    pub comparisons: Vec<Comparison>,
    /// Whether the base's throughput varied too much.
    pub noisy: bool,
    /// By side, of all rounds, what became of the workload's own blocking calls.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub blocking_calls: BTreeMap<String, Vec<BlockingCalls>>,
}

/// How a workload ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All rounds are there.
    Measured,
    /// The machine lacks what it needs.
    Skipped(String),
    /// A result was wrong, or there was none.
    Failed(String),
    /// There was time for so many rounds only.
    NotReached(usize),
}

/// One measurement of each side.
#[derive(Debug, Serialize)]
pub struct Round {
    /// Who was measured when.
    pub order: Vec<String>,
    /// By side.
    pub samples: BTreeMap<String, Sample>,
}

/// Absolute figures of one side, over all rounds.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Operations per second.
    pub throughput: Summary,
    /// CPU nanoseconds per operation.
    pub cpu: Summary,
    /// Median of the latency in nanoseconds.
    pub p50: Summary,
    /// 99th percentile of the latency in nanoseconds.
    pub p99: Summary,
}

/// One side, compared with the base.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// The side.
    pub engine: String,
    /// Operations per second.
    pub throughput: Ratio,
    /// CPU time per operation.
    pub cpu: Ratio,
    /// Median of the latency.
    pub p50: Ratio,
    /// 99th percentile of the latency.
    pub p99: Ratio,
    /// For polls: CPU time beyond the write and the read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_beyond: Option<Ratio>,
}

/// Side divided by base.
#[derive(Debug, Serialize)]
pub struct Ratio {
    /// Of each round.
    pub rounds: Vec<f64>,
    /// Of all rounds.
    pub summary: Summary,
}

impl Measured {
    /// What follows from the rounds.
    pub fn conclude(&mut self, base: &str, sides: &[String]) {
        self.blocking_calls = blocking::by_side(&self.rounds);
        if !self.workload.is_compared() {
            return;
        }
        let figures = |pick: fn(&Sample) -> f64| Summary::of(&self.values(base, pick));
        if let (Some(throughput), Some(cpu), Some(p50), Some(p99)) = (
            figures(Sample::throughput),
            figures(Sample::cpu),
            figures(|sample| sample.latency.p50 as f64),
            figures(|sample| sample.latency.p99 as f64),
        ) {
            self.noisy = throughput.relative_spread() > NOISE_LIMIT;
            self.base = Some(Figures { throughput, cpu, p50, p99 });
        }
        let others = sides.iter().filter(|side| *side != base);
        self.comparisons = others.filter_map(|side| self.compare(base, side)).collect();
    }

    fn compare(&self, base: &str, side: &str) -> Option<Comparison> {
        let ratio = |pick: &dyn Fn(&Sample) -> Option<f64>| self.ratio(base, side, pick);
        Some(Comparison {
            engine: side.to_string(),
            throughput: ratio(&|sample| Some(sample.throughput()))?,
            cpu: ratio(&|sample| Some(sample.cpu()))?,
            p50: ratio(&|sample| Some(sample.latency.p50 as f64))?,
            p99: ratio(&|sample| Some(sample.latency.p99 as f64))?,
            cpu_beyond: ratio(&Sample::cpu_beyond),
        })
    }

    fn ratio(
        &self,
        base: &str,
        side: &str,
        pick: &dyn Fn(&Sample) -> Option<f64>,
    ) -> Option<Ratio> {
        let of = |round: &Round, name: &str| round.samples.get(name).and_then(pick);
        let rounds: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| Some(of(round, side)? / of(round, base)?))
            // Not where noise has made the divisor 0 or less.
            .filter(|ratio| ratio.is_finite() && *ratio >= 0.0)
            .collect();
        let summary = Summary::of(&rounds)?;
        Some(Ratio { rounds, summary })
    }

    /// A figure of one side in each round.
    pub fn values(&self, side: &str, pick: fn(&Sample) -> f64) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.samples.get(side)).map(pick).collect()
    }

    /// The median over the rounds of a percentile of io_submit's duration.
    pub fn submit(&self, side: &str, pick: fn(&Percentiles) -> u64) -> Option<f64> {
        let samples = self.rounds.iter().filter_map(|round| round.samples.get(side));
        let timed = samples.filter(|sample| sample.submit.count > 0);
        let values: Vec<f64> = timed.map(|sample| pick(&sample.submit) as f64).collect();
        Summary::of(&values).map(|summary| summary.median)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A measurement of so many operations in a second, with this much CPU time for each.
    pub fn sample(ops: u64, cpu: u64, baseline_ns: Option<f64>) -> Sample {
        let latency = Percentiles { p50: 10, p99: 100, max: 1000, count: ops };
        Sample {
            ops,
            events: ops,
            errors: 0,
            wall_ns: 1_000_000_000,
            user_ns: ops * cpu / 4,
            system_ns: ops * cpu - ops * cpu / 4,
            latency,
            submit: latency,
            baseline_ns,
            blocking_calls: Vec::new(),
            uring: false,
        }
    }

    /// A workload with these operations per second of native and uring in each round.
    pub fn measured(rounds: &[(u64, u64)], baseline: Option<f64>) -> Measured {
        let rounds = rounds.iter().map(|&(native, uring)| Round {
            order: vec!["uring".to_string(), "native".to_string()],
            samples: BTreeMap::from([
                ("native".to_string(), sample(native, 1000, baseline)),
                ("uring".to_string(), sample(uring, 600, baseline)),
            ]),
        });
        let mut measured = Measured {
            name: "name".to_string(),
            about: "about".to_string(),
            workload: Kind::Contexts { count: 1 },
            status: Status::Measured,
            seconds: 1.0,
            rounds: rounds.collect(),
            base: None,
            comparisons: Vec::new(),
            noisy: false,
            blocking_calls: BTreeMap::new(),
        };
        measured.conclude("native", &["native".to_string(), "uring".to_string()]);
        measured
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        // The medians themselves would give 210 / 200.
        let measured = measured(&[(100, 210), (200, 100), (400, 600)], None);
        let [comparison] = &measured.comparisons[..] else { panic!("{measured:?}") };
        assert_eq!(comparison.engine, "uring");
        assert_eq!(comparison.throughput.rounds, [2.1, 0.5, 1.5]);
        assert_eq!(comparison.throughput.summary.median, 1.5);
        assert_eq!(comparison.cpu.summary.median, 0.6);
        assert!(comparison.cpu_beyond.is_none());
    }

    #[test]
    fn polls_are_compared_without_the_write_and_the_read() {
        let measured = measured(&[(100, 100)], Some(500.0));
        let beyond = measured.comparisons[0].cpu_beyond.as_ref().unwrap();
        assert_eq!(beyond.rounds, [0.2]);
    }

    #[test]
    fn noise_is_the_bases_own() {
        assert!(!measured(&[(100, 10), (101, 99), (102, 1000)], None).noisy);
        assert!(measured(&[(100, 100), (150, 150), (200, 200)], None).noisy);
    }
}
