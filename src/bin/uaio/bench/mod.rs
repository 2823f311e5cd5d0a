//! `uaio bench`: our library against kernel AIO, on this machine, now.
//!
//! Each measurement is a process of its own (`worker`), which loads one libaio. The sides of a
//! comparison take turns in random order, round by round, and it is the ratio of two neighbours
//! that counts: machines change their speed from second to second.

mod blocking;
mod child;
mod facts;
mod job;
mod loop_device;
mod measure;
pub mod options;
mod places;
mod plan;
mod plot;
mod progress;
mod random;
mod report;
mod results;
mod stats;
mod subjects;
mod table;
mod tally;
mod volume;
mod worker;
mod workspace;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;
pub use child::WORKER;
use facts::Settings;
use measure::Measurer;
use options::Options;
use places::{Place, Places};
use plan::Workload;
use progress::Progress;
use report::Files;
use results::{FORMAT, Results};
use subjects::Subjects;
pub use worker::run as run_worker;

const PAIRS: usize = 7;
const SECONDS: f64 = 0.5;
const QUICK_SECONDS: f64 = 0.06;
const DATA_BYTES: u64 = 256 << 20;
const QUICK_DATA_BYTES: u64 = 64 << 20;
/// `--quick` ends within a minute, with the file made, removed and drawn.
const QUICK_LIMIT: Duration = Duration::from_secs(55);

/// Measures, and prints the tables.
pub fn run(options: &Options) -> Result<(), Failure> {
    let start = Instant::now();
    let plan = chosen(options)?;
    if options.list {
        return output::say(&list(&plan));
    }
    let subjects = subjects::find(options)?;
    let files = Files::open(options)?;
    let results = measure(options, &plan, &subjects, start)?;
    files.write(&results)?;
    output::say(&report::text(&results, options.markdown))?;
    report::failure(&results.workloads)
}

fn measure(
    options: &Options,
    plan: &[Workload],
    subjects: &Subjects,
    start: Instant,
) -> Result<Results, Failure> {
    let signals = Signals::hold()?;
    let quick = options.quick;
    let place = options.place.as_deref().unwrap_or(Path::new("."));
    let data_bytes = if quick { QUICK_DATA_BYTES } else { DATA_BYTES };
    let pairs = options.pairs.unwrap_or(PAIRS);
    let seconds = options.seconds.unwrap_or(if quick { QUICK_SECONDS } else { SECONDS });
    let steps = pairs * subjects.all.len();
    // Whether it can be used is known before anything is announced.
    let Places { all: places, left_out } = match options.file_systems {
        true => Places::volumes(place, data_bytes, &signals)?,
        false => Places::single(place, data_bytes)?,
    };
    left_out.iter().for_each(|reason| output::remark(&format!("{reason}\n")));
    let count = plan.len() * places.len();
    output::remark(&announcement(count, subjects, pairs, seconds, quick));

    let mut machine = facts::machine();
    let end = quick.then(|| start + QUICK_LIMIT);
    let all = &subjects.all;
    let file_system = |place: &Place| facts::file_system(place.workspace.path());
    let file_systems: Vec<String> = places.iter().map(file_system).collect();
    let mut progress = Progress::new(count, steps);
    let mut workloads = Vec::new();
    let mut left = places.len() as u32;
    for place in places {
        // Each gets its share of what is left.
        let deadline = end.map(|end| {
            let now = Instant::now();
            now + end.saturating_duration_since(now) / left
        });
        left -= 1;
        place.workspace.fill(&signals)?;
        let workspace = &place.workspace;
        let signals = &signals;
        let measurer = Measurer { subjects: all, workspace, signals, pairs, seconds, deadline };
        workloads.extend(measurer.run(&place.named(plan), &mut progress)?);
    }
    drop(progress);
    machine.load[1] = facts::load();
    let settings = Settings {
        quick,
        pairs,
        seconds,
        place: std::fs::canonicalize(place).unwrap_or_default(),
        file_system: file_systems.join(", "),
        left_out,
        data_bytes,
    };
    Ok(Results {
        format: FORMAT,
        uaio: env!("CARGO_PKG_VERSION").to_string(),
        machine,
        settings,
        base: all.first().map_or("", |base| base.name).to_string(),
        no_native: subjects.no_native.clone(),
        subjects: all.iter().map(facts::subject).collect(),
        tallies: tally::tallies(all.iter().skip(1).map(|it| it.name), &workloads),
        workloads,
    })
}

/// The workloads that the options ask for.
fn chosen(options: &Options) -> Result<Vec<Workload>, Failure> {
    let all = plan::all();
    for pattern in &options.only {
        if !all.iter().any(|workload| workload.name.contains(pattern)) {
            return Err(Failure::Usage(format!(
                "no workload's name contains '{pattern}' (see 'uaio bench --list')"
            )));
        }
    }
    // A whole name does not mean the longer ones that contain it.
    let is_name = |pattern: &String| all.iter().any(|it| it.name == *pattern);
    let is_meant = |workload: &Workload, pattern: &String| {
        workload.name == *pattern || !is_name(pattern) && workload.name.contains(pattern)
    };
    let is_chosen = |workload: &Workload| match options.only.as_slice() {
        [] if options.file_systems => workload.for_file_systems,
        [] => workload.quick || !options.quick,
        patterns => patterns.iter().any(|pattern| is_meant(workload, pattern)),
    };
    Ok(all.iter().filter(|it| is_chosen(it)).cloned().collect())
}

fn list(plan: &[Workload]) -> String {
    let width = plan.iter().map(|workload| workload.name.len()).max().unwrap_or(0);
    plan.iter().map(|it| format!("{:width$}  {}\n", it.name, it.about)).collect()
}

fn announcement(
    workloads: usize,
    subjects: &Subjects,
    pairs: usize,
    seconds: f64,
    quick: bool,
) -> String {
    let all = &subjects.all;
    let names: Vec<&str> = all.iter().map(|subject| subject.name).collect();
    let each = seconds * (1.0 + measure::WARM_UP) + measure::OVERHEAD;
    let estimate = (workloads * all.len() * pairs) as f64 * each;
    let estimate = if quick { estimate.min(QUICK_LIMIT.as_secs_f64()) } else { estimate };
    let estimate = match estimate {
        ..100.0 => format!("{estimate:.0} s"),
        _ => format!("{:.0} min", estimate / 60.0),
    };
    let mut text = String::new();
    if let Some(problem) = &subjects.no_native {
        text += &format!("no comparison with kernel AIO: {problem}\n");
    }
    if cfg!(debug_assertions) {
        text += "this is a debug build: its figures mean little\n";
    }
    let names = names.join(", ");
    text + &format!("{workloads} workloads, {pairs} rounds of {names}: about {estimate}\n")
}
