//! The witness itself: each lie of a small libaio is reported as what it is, the same library
//! without a lie is clean, and so are the system's libaio and ours, for a program that uses all that
//! the witness follows.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Arguments;
use support::scratch::{self, Scratch};
use support::setting::{self, Setting};
use support::witness::{self, Report};
use support::{Outcome, c, command, fail, library, shown, trial};

/// Each lie, and the words and the count that report it.
const LIES: [(&str, &str, &str); 17] = [
    ("lose", "no event after", "lost"),
    ("double", "second event", "doubled"),
    ("data", "wrong data", "wrong"),
    ("obj", "wrong data", "wrong"),
    ("stranger", "of no iocb", "foreign"),
    ("res2", "res2 1", "wrong"),
    ("cancelled", "a cancel that nobody asked for", "wrong"),
    ("refused", "event", "foreign"),
    ("cancel_made_up", "cancelled what was not pending", "wrong"),
    ("cancel_loses", "no event after", "lost"),
    ("too_many", "returned 9 of at most 8", "wrong"),
    ("eventfd_never", "signalled only", "eventfd"),
    ("eventfd_twice", "signalled 26 times for 25", "eventfd"),
    ("late_write", "written into after io_destroy", "late"),
    ("late_ring", "written into after io_destroy: 4096 bytes", "late"),
    ("leak_descriptor", "is left after the last io_destroy", "leaked"),
    ("leak_thread", "threads are left", "leaked"),
];

const LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut trials = vec![
        trial("honest", || fake("none")?.1.expect_clean().map(drop)),
        trial("honest::program_takes_events", || {
            let library = fake_library()?;
            let (_scratch, report) = run(None, |command| {
                behind_fake(command, library, "none");
                command.env("CONSUMER_TAKES", "1");
            })?;
            balanced(&report, true)
        }),
    ];
    for (lie, words, count) in LIES {
        trials.push(trial(format!("liar::{lie}"), move || reported(lie, words, count)));
    }
    for takes in [false, true] {
        let suffix = if takes { "::program_takes_events" } else { "" };
        trials.push(trial(format!("system{suffix}"), move || {
            library::system_working()?;
            consumer_on(None, Setting::Default, takes)
        }));
        for setting in Setting::ALL {
            trials.push(trial(format!("ours::{}{suffix}", setting.name()), move || {
                if setting != Setting::Pool {
                    setting::needs_uring()?;
                }
                let stage = library::staged(&library::ours())?;
                consumer_on(Some(&stage.path().join("libaio.so.1")), setting, takes)
            }));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// The program that uses libaio in many ways.
fn consumer() -> Outcome<&'static Path> {
    static BUILT: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let output = scratch::lasting("witness").join("consumer");
        let libaio = shown(library::ours());
        c::compile("tests/witness/consumer.c", &output, &[&libaio])
    });
    BUILT.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}

fn fake_library() -> Outcome<&'static Path> {
    static BUILT: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let output = scratch::lasting("witness").join("fake.so");
        c::compile("tests/witness/fake.c", &output, &["-shared", "-fPIC"])
    });
    BUILT.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}

/// The small libaio is named to the witness, since it has no versions.
fn behind_fake(command: &mut Command, library: &Path, lie: &str) {
    command.env("WITNESS_LIB", library).env("FAKE_LIE", lie).env("WITNESS_OVERDUE_MS", "100");
}

/// Runs the program, strictly watched; without a library to preload, on the system's.
fn run(behind: Option<&Path>, prepare: impl FnOnce(&mut Command)) -> Outcome<(Scratch, Report)> {
    let scratch = Scratch::new("witness");
    let report = Report::new(scratch.path());
    let mut command = Command::new(consumer()?);
    command
        .current_dir(scratch.path())
        .env("LD_PRELOAD", witness::preload(behind)?)
        .env("WITNESS_STRICT", "1");
    report.apply(&mut command);
    Setting::Default.apply(&mut command);
    prepare(&mut command);
    command::run(&mut command, LIMIT)?.expect_success()?;
    Ok((scratch, report))
}

fn fake(lie: &str) -> Outcome<(Scratch, Report)> {
    let library = fake_library()?;
    run(None, |command| behind_fake(command, library, lie))
}

fn reported(lie: &str, words: &str, count: &str) -> Outcome {
    let (_scratch, report) = fake(lie)?;
    let text = report.text();
    let told = text.lines().any(|line| line.contains("VIOLATION") && line.contains(words));
    let counted = text.lines().any(|line| {
        let value = line.split(' ').find_map(|word| word.strip_prefix(&format!("{count}=")));
        line.contains(": BROKEN ") && value.is_some_and(|value| value != "0")
    });
    match (told, counted, report.expect_clean()) {
        (true, true, Err(_)) => Ok(()),
        _ => fail(format!("not reported\n{text}")),
    }
}

fn consumer_on(behind: Option<&Path>, setting: Setting, takes: bool) -> Outcome {
    let (_scratch, report) = run(behind, |command| {
        setting.apply(command);
        if takes {
            command.env("CONSUMER_TAKES", "1");
        }
    })?;
    balanced(&report, takes)
}

/// What the program does, in the witness's figures.
fn balanced(report: &Report, takes: bool) -> Outcome {
    let counts = report.expect_clean()?;
    let expected = [("contexts", 2), ("accepted", 52), ("dropped", 3), ("in_flight", 0)];
    let wrong = expected.iter().any(|(name, value)| counts.of(name) != *value)
        || counts.of("reaped") + counts.of("taken") != 49
        || (counts.of("taken") > 0) != takes
        || counts.of("blurred") + counts.of("unknown") + counts.of("live") > 0;
    if wrong { fail(report.text()) } else { Ok(()) }
}
