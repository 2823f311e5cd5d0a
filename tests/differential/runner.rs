//! Runs many programs, side by side, and reports.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::compare::{self, Verdict};
use crate::generate::{self, Random};
use crate::options::Options;
use crate::program::Program;
use crate::publish;
use crate::selftest;
use crate::support::setting::{self, Setting};
use crate::support::{Outcome, Stop, repository};
use crate::worker::{Side, Worker};

/// After so many differences the rest would say the same.
const MOST_DIFFERENCES: u64 = 5;
/// Of so many programs one may differ once and then not again: what that is has to be found out, and
/// is printed, but a machine that stalls for seconds does it too.
const PROGRAMS_FOR_ONE: u64 = 1000;
/// Each of so many is run twice on the kernel's AIO, to know how many it does not repeat.
const SAMPLE: u64 = 10;
/// The most of those, in 100.
const MOST_UNSTABLE: u64 = 6;
/// Of so many workers one is behind the witness, which makes programs slower.
const WITNESSED: usize = 4;

#[derive(Default)]
struct Counts {
    programs: AtomicU64,
    calls: AtomicU64,
    events: AtomicU64,
    unstable: AtomicU64,
    sampled: AtomicU64,
    once: AtomicU64,
    differences: AtomicU64,
    is_over: AtomicBool,
}

/// What the fuzzer has found so far, each reaching something in the library that the others do not.
fn corpus() -> Outcome<Vec<Program>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(repository("fuzz/corpus/differential"))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut programs = Vec::new();
    for path in paths {
        programs.push(generate::input(&fs::read(path)?, &Setting::ALL).1);
    }
    Ok(programs)
}

/// The programs of a run: those of the corpus, and those of a seed after them.
struct Programs {
    corpus: Vec<Program>,
    seed: u64,
    /// How many of the seed.
    most: u64,
    next: AtomicU64,
}

impl Programs {
    /// The next one, and its name.
    fn next(&self) -> Option<(String, u64, Program)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let corpus = self.corpus.len() as u64;
        match self.corpus.get(usize::try_from(index).ok()?) {
            Some(of_corpus) => Some((format!("corpus-{index}"), index, of_corpus.clone())),
            None if index - corpus < self.most => {
                let number = index - corpus;
                Some((format!("{}-{number}", self.seed), index, program(self.seed, number)))
            }
            None => None,
        }
    }
}

/// Program `number` of a seed.
pub fn program(seed: u64, number: u64) -> Program {
    generate::program(&mut Random(seed.wrapping_mul(0x0100_0000_01b3).wrapping_add(number)))
}

/// False: something is different.
pub fn run(options: &Options) -> Outcome<bool> {
    if let Some(number) = options.only {
        let program = program(options.seed, number);
        print!("{}", program.c(&format!("program {number} of seed {}", options.seed)));
        return Ok(true);
    }
    // Without io_uring the other settings are the pool.
    let has_uring = setting::needs_uring().is_ok();
    let settings = options.settings.clone();
    if !has_uring && settings != [Setting::Pool] {
        println!("differential: io_uring is refused here: all settings are the pool");
    }
    Worker::new(Side::System)?.expect_library()?;
    for setting in &settings {
        Worker::new(Side::Ours(*setting))?.expect_library()?;
    }
    selftest::run(options.seed)?;
    println!("differential: seed {}", options.seed);
    let (counts, begin) = (Counts::default(), Instant::now());
    let trouble = Mutex::new(None);
    let programs = Programs {
        corpus: corpus()?,
        seed: options.seed,
        most: options.programs,
        next: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        for job in 0..options.jobs {
            let (settings, counts, programs, trouble) = (&settings, &counts, &programs, &trouble);
            scope.spawn(move || {
                let is_witnessed = job % WITNESSED == 0;
                if let Err(stop) = work(options, settings, is_witnessed, counts, programs, begin) {
                    *trouble.lock().unwrap() = Some(stop);
                    counts.is_over.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    if let Some(Stop::Fail(what) | Stop::Skip(what)) = trouble.into_inner().unwrap() {
        return Err(Stop::Fail(what));
    }
    report(&counts, &settings, begin.elapsed());
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let is_stable = of(&counts.unstable) * 100 <= MOST_UNSTABLE * of(&counts.sampled).max(100);
    if !is_stable {
        println!("differential: the kernel does not repeat too many of the programs");
    }
    let may_differ_once = of(&counts.programs) / PROGRAMS_FOR_ONE + 2;
    Ok(is_stable && of(&counts.differences) == 0 && of(&counts.once) <= may_differ_once)
}

fn report(counts: &Counts, settings: &[Setting], time: Duration) {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let names: Vec<_> = settings.iter().map(|setting| setting.name()).collect();
    println!(
        "differential: {} programs in each of {} ({:.0} s, {:.0} programs/s), {} calls, {} events",
        of(&counts.programs),
        names.join(", "),
        time.as_secs_f64(),
        of(&counts.programs) as f64 / time.as_secs_f64(),
        of(&counts.calls),
        of(&counts.events),
    );
    println!(
        "differential: {} differences, {} seen once and not again; the kernel does not repeat {} of {}",
        of(&counts.differences),
        of(&counts.once),
        of(&counts.unstable),
        of(&counts.sampled),
    );
}

fn work(
    options: &Options,
    settings: &[Setting],
    is_witnessed: bool,
    counts: &Counts,
    programs: &Programs,
    begin: Instant,
) -> Outcome<()> {
    let mut system = Worker::new(Side::System)?;
    let mut ours = Vec::new();
    for setting in settings {
        let side = Side::Ours(*setting);
        ours.push(if is_witnessed { Worker::witnessed(side)? } else { Worker::new(side)? });
    }
    while let Some((name, index, program)) = programs.next() {
        let is_late = options.seconds.is_some_and(|limit| begin.elapsed() > limit);
        if is_late || counts.is_over.load(Ordering::Relaxed) {
            break;
        }
        let reference = system.run(&program)?;
        counts.programs.fetch_add(1, Ordering::Relaxed);
        let calls = program.calls.iter().filter(|call| call.name != "iocb").count();
        counts.calls.fetch_add(calls as u64, Ordering::Relaxed);
        counts.events.fetch_add(reference.matches('[').count() as u64, Ordering::Relaxed);
        if index.is_multiple_of(SAMPLE) {
            counts.sampled.fetch_add(1, Ordering::Relaxed);
            let is_unstable = system.run(&program)? != reference;
            counts.unstable.fetch_add(u64::from(is_unstable), Ordering::Relaxed);
        }
        for (setting, ours) in settings.iter().zip(&mut ours) {
            match compare::judge(&program, &reference, &mut system, ours)? {
                Verdict::Equal | Verdict::Unstable => {}
                Verdict::Once(what) => {
                    counts.once.fetch_add(1, Ordering::Relaxed);
                    println!("program {name}, {}: once, and not again:\n{what}", setting.name());
                }
                Verdict::Different(what) => {
                    println!("program {name}, {}: DIFFERENT:\n{what}", setting.name());
                    let count = counts.differences.fetch_add(1, Ordering::Relaxed) + 1;
                    if count >= MOST_DIFFERENCES {
                        counts.is_over.store(true, Ordering::Relaxed);
                    }
                    publish::publish(&name, *setting, &program, &mut system, ours)?;
                }
            }
        }
    }
    Ok(())
}

/// How often each function is called, to see that programs have all of them.
pub fn functions(programs: impl Iterator<Item = Program>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for call in programs.flat_map(|program| program.calls) {
        *counts.entry(call.name).or_insert(0) += 1;
    }
    counts
}
