//! The places in a file that a workload goes to, one after the other.

use super::super::random::Random;

/// Places, as indices of blocks.
pub enum Offsets {
    /// Any of `blocks`, for ever.
    Random {
        /// Chooses.
        random: Random,
        /// How many there are.
        blocks: u64,
    },
    /// Each of `blocks`, a power of two, once, in disorder.
    Once {
        /// The last one.
        last: u64,
        /// How many there are.
        blocks: u64,
        /// How many are left.
        left: u64,
    },
    /// From 0 to `blocks`, again and again if it is `endless`.
    Ascending {
        /// The next one.
        next: u64,
        /// How many there are.
        blocks: u64,
        /// Whether the first follows on the last.
        endless: bool,
    },
}

impl Offsets {
    /// The next place; none if the pass is over.
    pub fn next(&mut self) -> Option<u64> {
        match self {
            Offsets::Random { random, blocks } => Some(random.below(*blocks)),
            Offsets::Once { last, blocks, left } => {
                *left = left.checked_sub(1)?;
                // A linear congruential generator modulo a power of two visits all (Hull, Dobell).
                *last = last.wrapping_mul(0x5851_f42d).wrapping_add(0x1405_7b7f) % *blocks;
                Some(*last)
            }
            Offsets::Ascending { next, blocks, endless } => {
                if *next == *blocks {
                    if !*endless {
                        return None;
                    }
                    *next = 0;
                }
                *next += 1;
                Some(*next - 1)
            }
        }
    }

    /// Begins another pass.
    pub fn restart(&mut self) {
        match self {
            Offsets::Random { .. } => {}
            Offsets::Once { blocks, left, .. } => *left = *blocks,
            Offsets::Ascending { next, .. } => *next = 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_visits_each_block_once() {
        for blocks in [1, 2, 64, 1 << 16] {
            let mut offsets = Offsets::Once { last: 0, blocks, left: blocks };
            for _ in 0..2 {
                let mut seen: Vec<u64> = std::iter::from_fn(|| offsets.next()).collect();
                let is_ascending = seen.is_sorted();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..blocks));
                assert!(blocks <= 2 || !is_ascending);
                offsets.restart();
            }
        }
    }

    #[test]
    fn an_endless_pass_begins_again() {
        let mut offsets = Offsets::Ascending { next: 0, blocks: 2, endless: true };
        let first: Vec<u64> = (0..5).filter_map(|_| offsets.next()).collect();
        assert_eq!(first, [0, 1, 0, 1, 0]);
        let mut once = Offsets::Ascending { next: 0, blocks: 2, endless: false };
        assert_eq!([once.next(), once.next(), once.next()], [Some(0), Some(1), None]);
    }
}
