//! Races on the system's libaio and on ours in each setting: submit, cancel, complete, reap, destroy,
//! fork, signals and the end of threads, over polls, pipes, direct reads and writes, and syncs.
//!
//! ```text
//! cargo test --test races -- [--races N] [--seconds T] [--setting X] [--kind K] [--skip K] [--seed S]
//! ```
//!
//! N races in all (10,000 if nothing is said), or as many as there is time for. Most are of the
//! cheap kinds. In each kind both outcomes must be at least a tenth, no event may be lost or
//! doubled, and up to 200 races of each run under the witness as well. The driver is in
//! `tests/races/driver`, one C program that runs one kind. `UAIO_CFLAGS` and `UAIO_LDFLAGS` are for the
//! compiler, to build it with a sanitizer; then there is no witness.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use support::scratch::{self, Scratch};
use support::setting::{self, Setting};
use support::witness::{self, Report};
use support::{Outcome, Stop, c, command, fail, library, shown, skip};

const SOURCES: [&str; 5] = ["main", "common", "polls", "transfers", "ends"];

/// Kinds of some microseconds a race on contexts that are used again; they get most of the races.
const CHEAP: [&str; 6] =
    ["poll_cancel", "cancel_cancel", "reap_reap", "slot", "pipe_read", "ring_take"];

/// Of these the rest, a fiftieth each.
const DEAR: [&str; 9] = [
    "two_sleepers",
    "signal_event",
    "direct_reap",
    "direct_cancel",
    "destroy_poll",
    "destroy_direct",
    "destroy_submit",
    "fork_event",
    "exit_event",
];

/// From this number on a kind's outcomes say something about its balance.
const ENOUGH: u64 = 200;

/// A loaded machine can unsettle the tuning.
const ATTEMPTS: u64 = 3;

struct Options {
    races: u64,
    seconds: Option<f64>,
    setting: Option<String>,
    kind: Option<String>,
    skipped: Vec<String>,
    seed: u64,
}

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        return ExitCode::SUCCESS;
    };
    println!("seed {}", options.seed);
    let begin = Instant::now();
    let mut all = Session { options, total: Tally::default(), failures: Vec::new() };
    all.run();
    let Tally { races, lost, doubled, wrong, .. } = all.total;
    println!(
        "{races} races in {:.0} s: {lost} lost, {doubled} doubled, {wrong} otherwise wrong",
        begin.elapsed().as_secs_f64()
    );
    for failure in &all.failures {
        println!("FAILED: {failure}");
    }
    if all.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Options {
    /// `None`: `cargo test` was called for other tests. What only libtest knows is passed over.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
        let mut options = Options {
            races: 10_000,
            seconds: None,
            setting: None,
            kind: None,
            skipped: Vec::new(),
            seed: u64::from(nanoseconds),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument}: no value"));
            match argument.as_str() {
                "--races" => options.races = value().parse().expect("--races: a number"),
                "--seconds" => {
                    options.seconds = Some(value().parse().expect("--seconds: a number"))
                }
                "--setting" => options.setting = Some(value()),
                "--kind" => options.kind = Some(value()),
                "--seed" => options.seed = value().parse().expect("--seed: a number"),
                "--skip" => options.skipped.push(value()),
                "--test-threads" | "--format" | "--color" => drop(value()),
                "--list" => return None,
                _ if argument.starts_with('-') => {}
                filter if "races".contains(filter) => {}
                _ => return None,
            }
        }
        Some(options)
    }

    fn kinds(&self, among: &[&'static str]) -> Vec<&'static str> {
        let is_wanted = |kind: &&str| {
            self.kind.as_ref().is_none_or(|wanted| wanted == kind)
                && !self.skipped.iter().any(|skipped| skipped == kind)
        };
        among.iter().copied().filter(is_wanted).collect()
    }
}

/// Where the races run: on the system's libaio, or on ours in a setting.
#[derive(Clone, Copy)]
enum Place {
    System,
    Ours(Setting),
}

impl Place {
    fn all() -> Vec<Place> {
        [Place::System].into_iter().chain(Setting::ALL.map(Place::Ours)).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Place::System => "system",
            Place::Ours(setting) => setting.name(),
        }
    }

    fn needs(self) -> Outcome {
        match self {
            Place::System => library::system_working().map(drop),
            Place::Ours(Setting::Pool) => Ok(()),
            Place::Ours(_) => setting::needs_uring(),
        }
    }
}

#[derive(Default, Clone)]
struct Tally {
    races: u64,
    first: u64,
    second: u64,
    lost: u64,
    doubled: u64,
    wrong: u64,
    microseconds: u64,
    names: [String; 2],
}

impl Tally {
    /// What the driver has printed.
    fn read(line: &str) -> Outcome<Self> {
        let mut parts = line.trim().split(" | ");
        let counts = parts.next().unwrap_or_default();
        let of = |name: &str| -> Outcome<u64> {
            let prefix = format!("{name}=");
            let value = counts.split(' ').find_map(|word| word.strip_prefix(&prefix));
            Ok(value.ok_or_else(|| format!("no {name} in {line}"))?.parse()?)
        };
        Ok(Tally {
            races: of("races")?,
            first: of("first")?,
            second: of("second")?,
            lost: of("lost")?,
            doubled: of("doubled")?,
            wrong: of("wrong")?,
            microseconds: of("us")?,
            names: [0, 1].map(|_| parts.next().unwrap_or_default().to_string()),
        })
    }

    fn add(&mut self, other: &Tally) {
        self.races += other.races;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.wrong += other.wrong;
    }

    fn is_right(&self) -> bool {
        self.lost + self.doubled + self.wrong == 0
    }

    /// Each outcome is at least a tenth of those that were one or the other.
    fn is_balanced(&self) -> bool {
        self.races < ENOUGH || self.first.min(self.second) * 10 >= self.first + self.second
    }

    fn shown(&self) -> String {
        let percent = |part: u64| 100 * part / (self.first + self.second).max(1);
        format!(
            "{:>8} races, {} {} %, {} {} %, {} lost, {} doubled, {} wrong, {:.1} µs each",
            self.races,
            self.names[0],
            percent(self.first),
            self.names[1],
            percent(self.second),
            self.lost,
            self.doubled,
            self.wrong,
            self.microseconds as f64 / self.races.max(1) as f64
        )
    }
}

struct Session {
    options: Options,
    total: Tally,
    failures: Vec<String>,
}

impl Session {
    fn run(&mut self) {
        let places: Vec<_> = Place::all()
            .into_iter()
            .filter(|place| self.options.setting.as_deref().is_none_or(|name| name == place.name()))
            .collect();
        if places.is_empty() || self.options.kinds(&[&CHEAP[..], &DEAR].concat()).is_empty() {
            self.failures.push("no such setting or kind".to_string());
        }
        if !is_sanitized() {
            for lie in ["lose", "double", "data"] {
                self.settle("liar", lie, liar_is_noticed(lie));
            }
        }
        let share = self.options.races / places.len().max(1) as u64;
        for place in places {
            match place.needs() {
                Ok(()) => self.run_in(place, share),
                other => self.settle(place.name(), "all", other),
            }
        }
    }

    fn run_in(&mut self, place: Place, share: u64) {
        let (dear, cheap) = (self.options.kinds(&DEAR), self.options.kinds(&CHEAP));
        let many = dear.len() + cheap.len();
        let slice = self.options.seconds.map(|all| all / (Place::all().len() * many) as f64);
        let each = if cheap.is_empty() { share / dear.len() as u64 } else { share / 50 };
        let mut left = share;
        for kind in dear {
            // io_destroy takes the kernel 30 ms: what is not done in time is done by cheap kinds.
            let seconds = slice.unwrap_or((share as f64 / 40_000.0).max(1.0));
            left = left.saturating_sub(self.races(place, kind, each.max(20), seconds));
        }
        for (done, kind) in cheap.iter().enumerate() {
            let wanted = left / (cheap.len() - done) as u64;
            let seconds = slice.unwrap_or(60.0 + wanted as f64 / 500.0);
            let races = self.races(place, kind, wanted, seconds);
            if slice.is_none() && races < wanted {
                let what = format!("{races} of {wanted} races in {seconds:.0} s");
                self.failures.push(format!("{} {kind}: {what}", place.name()));
            }
            left = left.saturating_sub(races);
        }
    }

    /// Runs one kind and returns how many races there were.
    fn races(&mut self, place: Place, kind: &str, wanted: u64, seconds: f64) -> u64 {
        let mut sum = 0;
        for attempt in 1..=ATTEMPTS {
            let seed = self.options.seed + attempt;
            let tally = match Drive::new(place, kind).and_then(|d| d.run(wanted, seconds, seed)) {
                Ok(tally) => tally,
                Err(stop) => {
                    self.settle(place.name(), kind, Err(stop));
                    return sum;
                }
            };
            println!("{:8} {kind:15} {}", place.name(), tally.shown());
            self.total.add(&tally);
            sum += tally.races;
            if !tally.is_right() {
                self.failures.push(format!("{} {kind}: {}", place.name(), tally.shown()));
                return sum;
            }
            if tally.is_balanced() {
                break;
            }
            if attempt == ATTEMPTS {
                self.failures.push(format!("{} {kind}: no balance", place.name()));
            }
        }
        if is_sanitized() {
            return sum;
        }
        let watched = Drive::new(place, kind).and_then(|d| d.watched(wanted, self.options.seed));
        self.settle(place.name(), kind, watched);
        sum
    }

    /// Takes down how a test ended.
    fn settle(&mut self, place: &str, what: &str, outcome: Outcome) {
        let required = std::env::var_os("UAIO_REQUIRE_ALL").is_some_and(|value| value == "1");
        match outcome {
            Ok(()) => {}
            Err(Stop::Skip(reason)) if !required => println!("{place} {what}: skipped: {reason}"),
            Err(Stop::Skip(why) | Stop::Fail(why)) => {
                self.failures.push(format!("{place} {what}: {why}"));
            }
        }
    }
}

/// The driver, ready to run one kind.
struct Drive {
    command: Command,
    place: Place,
    kind: String,
    scratch: Scratch,
    _stage: Scratch,
}

impl Drive {
    fn new(place: Place, kind: &str) -> Outcome<Self> {
        let library = match place {
            Place::System => library::system()?,
            Place::Ours(_) => library::ours(),
        };
        let stage = library::staged(&library)?;
        let scratch = Scratch::new("races");
        let mut command = Command::new(driver()?);
        command.current_dir(scratch.path()).env("LD_LIBRARY_PATH", stage.path());
        match place {
            Place::System => Setting::Default.apply(&mut command),
            Place::Ours(setting) => setting.apply(&mut command),
        }
        Ok(Drive { command, place, kind: kind.to_string(), scratch, _stage: stage })
    }

    fn run(mut self, races: u64, seconds: f64, seed: u64) -> Outcome<Tally> {
        let numbers = [races.to_string(), seconds.to_string(), seed.to_string()];
        self.command.arg(&self.kind).args(numbers);
        let limit = Duration::from_secs_f64(seconds + 60.0);
        let ended = command::run(&mut self.command, limit)?;
        if ended.status.code() == Some(77) {
            return skip(ended.stdout.trim());
        }
        let ended = ended.expect_success()?;
        let tally = Tally::read(&ended.stdout)?;
        if !tally.is_right() {
            println!("{}", ended.stderr);
        }
        Ok(tally)
    }

    /// Some races under the witness, which sees what the driver does not look for.
    fn watched(mut self, wanted: u64, seed: u64) -> Outcome {
        let report = Report::new(self.scratch.path());
        report.apply(&mut self.command);
        self.command.env("LD_PRELOAD", witness::preload(None)?);
        let (place, kind) = (self.place.name(), self.kind.clone());
        // It writes into its buffers after io_destroy, and looks after them by itself.
        if kind != "destroy_direct" {
            self.command.env("WITNESS_STRICT", "1");
        }
        // The report is in the scratch directory, which ends with the run.
        let kept = self.scratch;
        self.scratch = Scratch::new("races");
        self.command.current_dir(self.scratch.path());
        let tally = self.run(wanted.clamp(20, 200), 2.0, seed)?;
        let counts = report.expect_clean()?;
        drop(kept);
        let ends_in_flight = kind.starts_with("destroy");
        let dropped = counts.of("dropped");
        if !tally.is_right()
            || counts.of("accepted") == 0
            || counts.of("in_flight") + counts.of("unknown") + counts.of("live") > 0
            || counts.of("accepted") != counts.of("reaped") + counts.of("taken") + dropped
            || (dropped > 0 && !ends_in_flight)
        {
            return fail(format!("{place} {kind} under the witness: {}", report.text()));
        }
        Ok(())
    }
}

/// What a variable says, in words.
fn words(variable: &str) -> Vec<String> {
    let text = std::env::var(variable).unwrap_or_default();
    text.split_whitespace().map(str::to_string).collect()
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn is_sanitized() -> bool {
    !words("UAIO_CFLAGS").is_empty()
}

fn driver() -> Outcome<&'static Path> {
    static BUILT: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let output = scratch::lasting("races").join("driver");
        // In two steps: what instruments the objects must not choose the runtime.
        let mut compiling = words("UAIO_CFLAGS");
        compiling.push("-c".to_string());
        let mut objects = Vec::new();
        for name in SOURCES {
            let object = output.with_file_name(format!("{name}.o"));
            let source = format!("tests/races/driver/{name}.c");
            objects.push(shown(c::compile(&source, &object, &borrowed(&compiling))?));
        }
        let first = objects.remove(0);
        objects.push(shown(library::ours()));
        objects.extend(words("UAIO_LDFLAGS"));
        c::compile(&first, &output, &borrowed(&objects))
    });
    BUILT.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}

/// The driver in front of which events are lost, doubled or changed.
fn liar_is_noticed(lie: &str) -> Outcome {
    let output = scratch::lasting("races").join("liar.so");
    let liar = c::compile("tests/races/liar.c", &output, &["-shared", "-fPIC", "-ldl"])?;
    let mut drive = Drive::new(Place::Ours(Setting::Pool), "poll_cancel")?;
    drive.command.env("LD_PRELOAD", liar.as_os_str()).env("LIE", lie).env("PATIENCE_S", "1");
    let Tally { lost, doubled, wrong, .. } = drive.run(2000, 30.0, 1)?;
    let noticed = match lie {
        "lose" => lost,
        "double" => doubled,
        _ => wrong,
    };
    if noticed == 0 { fail("the driver has not noticed it") } else { Ok(()) }
}
