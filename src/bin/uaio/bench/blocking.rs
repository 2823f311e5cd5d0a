//! Counts of blocking calls that a workload makes itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::results::Round;

/// What became of blocking calls of one kind. No signal has come meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockingCalls {
    /// Its name.
    pub call: String,
    /// How many were made.
    pub calls: u64,
    /// Of these, those that moved less than they were asked to.
    pub short: u64,
    /// Of these, those that ended with EINTR.
    pub eintr: u64,
}

impl BlockingCalls {
    /// None so far.
    pub fn of(call: &str) -> BlockingCalls {
        BlockingCalls { call: call.to_string(), ..BlockingCalls::default() }
    }
}

/// The sums over all rounds.
pub fn by_side(rounds: &[Round]) -> BTreeMap<String, Vec<BlockingCalls>> {
    let mut sides = BTreeMap::<String, Vec<BlockingCalls>>::new();
    for (side, sample) in rounds.iter().flat_map(|round| &round.samples) {
        for more in &sample.blocking_calls {
            let calls = sides.entry(side.clone()).or_default();
            match calls.iter_mut().find(|it| it.call == more.call) {
                Some(sum) => {
                    sum.calls += more.calls;
                    sum.short += more.short;
                    sum.eintr += more.eintr;
                }
                None => calls.push(more.clone()),
            }
        }
    }
    sides
}

#[cfg(test)]
mod tests {
    use super::super::job::Kind;
    use super::super::results::tests::measured;
    use super::*;

    #[test]
    fn calls_are_counted_over_the_rounds_and_not_compared() {
        let mut measured = measured(&[(100, 10), (100, 10)], None);
        measured.workload = Kind::Interruptions { depth: 1 };
        (measured.base, measured.comparisons) = (None, Vec::new());
        for (round, short) in measured.rounds.iter_mut().zip([1, 2]) {
            let calls = |call, short| BlockingCalls { calls: 9, short, ..BlockingCalls::of(call) };
            if let Some(sample) = round.samples.get_mut("uring") {
                sample.blocking_calls = vec![calls("write", short), calls("send", 0)];
            }
        }
        measured.conclude("native", &["native".to_string(), "uring".to_string()]);
        assert!(measured.base.is_none() && measured.comparisons.is_empty());
        let of_uring = measured.blocking_calls["uring"].iter();
        let counts: Vec<(u64, u64)> = of_uring.map(|it| (it.calls, it.short)).collect();
        assert_eq!(counts, [(18, 3), (18, 0)]);
        assert!(!measured.blocking_calls.contains_key("native"));
    }
}
