//! The closing line: how many workloads of each side are slower or cost more than they may.

use serde::Serialize;

use super::results::{Comparison, Measured};

/// Fewer operations per second than this part of the base's are counted.
const LEAST_THROUGHPUT: f64 = 0.97;
/// More CPU time per operation than this part of the base's is counted.
const MOST_CPU: f64 = 1.10;

/// One side's count, by the medians of the ratios.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// The side.
    pub engine: String,
    /// Workloads with figures.
    pub workloads: usize,
    /// Of these, those below 0.97x of the base's operations per second.
    pub below: usize,
    /// Of these, those above 1.10x of the base's CPU time per operation.
    pub above: usize,
}

/// Counts for each of `sides`.
pub fn tallies<'a>(sides: impl Iterator<Item = &'a str>, workloads: &[Measured]) -> Vec<Tally> {
    let tally = |side: &str| {
        let all = workloads.iter().flat_map(|it| &it.comparisons).filter(|it| it.engine == side);
        let count = |is_counted: fn(&Comparison) -> bool| {
            all.clone().filter(|comparison| is_counted(comparison)).count()
        };
        Tally {
            engine: side.to_string(),
            workloads: count(|_| true),
            below: count(|it| it.throughput.summary.median < LEAST_THROUGHPUT),
            above: count(|it| it.cpu.summary.median > MOST_CPU),
        }
    };
    sides.map(tally).collect()
}

/// All counts as one line.
pub fn line(tallies: &[Tally]) -> String {
    let side = |Tally { engine, workloads, below, above }: &Tally| {
        format!(
            "{engine}: {below} of {workloads} below {LEAST_THROUGHPUT:.2}x, \
             {above} above {MOST_CPU:.2}x CPU"
        )
    };
    tallies.iter().map(side).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::measured;
    use super::*;

    #[test]
    fn medians_beyond_the_limits_are_counted() {
        // Operations per second of native and uring, and the CPU time of an operation of uring,
        // where native takes 1000 ns.
        let workload = |rounds: &[(u64, u64)], cpu: u64| {
            let mut measured = measured(rounds, None);
            for round in &mut measured.rounds {
                if let Some(sample) = round.samples.get_mut("uring") {
                    (sample.user_ns, sample.system_ns) = (0, sample.ops * cpu);
                }
            }
            measured.conclude("native", &["native".to_string(), "uring".to_string()]);
            measured
        };
        let workloads = [
            workload(&[(100, 97)], 1100),
            workload(&[(100, 96)], 1110),
            workload(&[(100, 90), (100, 98), (100, 99)], 1200),
            workload(&[(100, 90), (100, 90), (100, 99)], 500),
            workload(&[], 1000),
        ];
        let tallies = tallies(["uring", "pool"].into_iter(), &workloads);
        let expected = [("uring", 4, 2, 2), ("pool", 0, 0, 0)];
        let expected = expected.map(|(engine, workloads, below, above)| Tally {
            engine: engine.to_string(),
            workloads,
            below,
            above,
        });
        assert_eq!(tallies, expected);
        assert_eq!(
            line(&tallies),
            "uring: 2 of 4 below 0.97x, 2 above 1.10x CPU; pool: 0 of 0 below 0.97x, 0 above 1.10x CPU"
        );
    }
}
