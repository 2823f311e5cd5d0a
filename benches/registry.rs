//! What it costs to find a context by its address and to let it go: `cargo bench --bench registry`.
//!
//! The addresses are asked for in the order in which the contexts were made, and at random; each
//! figure is the median of some rounds, with the smallest after it. An empty loop over the same
//! addresses, and two atomic additions to a word of our own, which a counted reference cannot do
//! without, are measured in the same rounds.
//!
//! `cargo test --benches` and `--quick` do little of it, to see that it works.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use aio::lifecycle;
use aio::registry::{self, Caller};

/// How many contexts there are, one line each.
const CONTEXTS: [usize; 4] = [1, 1000, 10_000, 65_000];
/// Look-ups of a round.
const LOOK_UPS: usize = 1 << 20;
const ROUNDS: usize = 21;

/// What is done with each address.
type Step = fn(usize) -> bool;

static WORD: AtomicU32 = AtomicU32::new(0);

fn nothing(address: usize) -> bool {
    address != 0
}

fn two_additions(_address: usize) -> bool {
    // Acquire and Release: as a reference is taken and dropped; here they pair with nothing.
    WORD.fetch_add(1, Ordering::Acquire);
    WORD.fetch_sub(1, Ordering::Release) == 1
}

fn find(address: usize) -> bool {
    registry::find(address).is_ok()
}

const STEPS: [(&str, Step); 3] =
    [("empty loop", nothing), ("two additions", two_additions), ("find and drop", find)];

/// Numbers without an order (SplitMix64), the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) as usize % end
    }
}

/// Nanoseconds for each address; an error if one is not what it should be.
fn round(addresses: &[usize], look_ups: usize, step: Step) -> Result<f64, &'static str> {
    // Called as a function of its own, as the calls of the library call it: not laid out in the
    // loop.
    let step = black_box(step);
    let begin = Instant::now();
    let mut found = 0;
    for &address in addresses.iter().cycle().take(look_ups) {
        found += usize::from(step(black_box(address)));
    }
    let elapsed = begin.elapsed();
    if found != look_ups {
        return Err("a context was not found");
    }
    Ok(elapsed.as_nanos() as f64 / look_ups as f64)
}

fn measure(rounds: usize, look_ups: usize) -> Result<(), &'static str> {
    println!("{:>8}  {:<9}  {:<14} {:>6} {:>6}", "contexts", "order", "", "median", "least");
    let mut contexts: Vec<usize> = Vec::new();
    let mut chance = Chance(1);
    for count in CONTEXTS {
        while contexts.len() < count {
            let mut context = 0usize;
            lifecycle::setup(1, (&raw mut context).addr(), Caller::Library)
                .map_err(|_| "io_setup failed")?;
            contexts.push(context);
        }
        let mut shuffled = contexts.clone();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, chance.below(last + 1));
        }
        for (order, addresses) in [("as made", &contexts), ("at random", &shuffled)] {
            let mut figures = STEPS.map(|_| Vec::with_capacity(rounds));
            for _ in 0..rounds {
                for (figures, (_, step)) in figures.iter_mut().zip(STEPS) {
                    figures.push(round(addresses, look_ups, step)?);
                }
            }
            for (mut figures, (name, _)) in figures.into_iter().zip(STEPS) {
                figures.sort_by(f64::total_cmp);
                let (median, least) = (figures[figures.len() / 2], figures[0]);
                println!("{count:>8}  {order:<9}  {name:<14} {median:>6.1} {least:>6.1}");
            }
        }
    }
    contexts.into_iter().try_for_each(lifecycle::destroy).map_err(|_| "io_destroy failed")
}

fn main() -> ExitCode {
    // Cargo says --bench when it is to be measured.
    let is_quick = !std::env::args().any(|arg| arg == "--bench")
        || std::env::args().any(|arg| arg == "--quick");
    let (rounds, look_ups) = if is_quick { (3, 1 << 10) } else { (ROUNDS, LOOK_UPS) };
    match measure(rounds, look_ups) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("registry: {error}");
            ExitCode::FAILURE
        }
    }
}
