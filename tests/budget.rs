//! How many system calls an operation costs, by strace: what has crept into the usual way of a read, a
//! write, a sync or a poll shows here, however quick it is.
//!
//! `tests/budget/loops.c` does one kind of work over and over. Counts, unlike times, are the same on
//! every machine.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Arguments;
use support::scratch::{self, Scratch};
use support::setting::{self, Setting};
use support::{Outcome, c, command, fail, installed, library, shown, trial};

/// Rounds between the marks of `loops.c`.
const ROUNDS: f64 = 64.0;

/// What may come on top of a budget: a completion that was late once, a worker that began or left.
const SLACK: f64 = 0.25;

/// A system call, and how often a round may make it.
type Budget = &'static [(&'static str, f64)];

/// As the library comes.
const ON_THE_KERNEL: &[(&str, Budget)] = &[
    ("cached_read", &[("preadv2", 1.0)]),
    // And whether the pages of the iocb and of the event are there: one page.
    ("cached_read_elsewhere", &[("sendfile", 2.0), ("preadv2", 1.0)]),
    ("cached_reads", &[("io_submit", 1.0)]),
    ("cached_write", &[("pwritev2", 1.0)]),
    // The last one is the program's own.
    ("signalled_read", &[("io_submit", 1.0), ("io_getevents", 1.0), ("read", 1.0)]),
    ("direct_read", DIRECT),
    ("direct_reads", DIRECT),
    ("direct_write", DIRECT),
    ("direct_writes", DIRECT),
    ("sync", &[("io_submit", 1.0), ("io_getevents", 1.0)]),
    ("ready_poll", READY),
    ("ready_polls", READY),
    (
        "armed_poll",
        &[
            ("io_submit", 1.0),
            // The program's own.
            ("read", 1.0),
            ("write", 1.0),
        ],
    ),
    ("nothing_there", &[]),
];

/// strace stops the thread at each call, and io_submit takes that for a sleep: for the next iocb it asks
/// anew what the file is. Without strace it does so when an operation has taken longer than 5 µs.
const CACHED_BATCH: Budget = &[("fcntl", 16.0), ("preadv2", 16.0)];

const DIRECT: Budget = &[("io_submit", 1.0), ("io_getevents", 1.0)];

const READY: Budget = &[("ppoll", 1.0)];

/// What is done otherwise there.
const ON_URING: &[(&str, Budget)] = &[
    ("cached_reads", CACHED_BATCH),
    (
        "signalled_read",
        &[
            ("preadv2", 1.0),
            // The status flags of the file and of the eventfd, a duplicate of that, and two looks
            // whether it is there still: before the write to it and before its close.
            ("fcntl", 5.0),
            ("readlinkat", 1.0),
            ("ppoll", 1.0),
            ("write", 1.0),
            ("close", 1.0),
            // The program's own.
            ("read", 1.0),
        ],
    ),
    ("direct_read", DIRECT_ON_URING),
    ("direct_reads", DIRECT_ON_URING),
    ("direct_write", DIRECT_ON_URING),
    ("direct_writes", DIRECT_ON_URING),
    (
        "sync",
        &[
            ("fcntl", 3.0),
            ("statx", 3.0),
            ("fstatfs", 1.0),
            ("close", 1.0),
            ("io_uring_enter", 2.0),
            ("io_uring_register", 1.0),
        ],
    ),
    (
        "armed_poll",
        &[
            ("ppoll", 1.0),
            // Its file is put into a slot, and out again.
            ("io_uring_register", 2.0),
            ("epoll_ctl", 1.0),
            ("epoll_pwait", 1.0),
            // The program's own.
            ("read", 1.0),
            ("write", 1.0),
        ],
    ),
];

const DIRECT_ON_URING: Budget = &[("fcntl", 1.0), ("statx", 1.0), ("io_uring_enter", 2.0)];

/// What is done otherwise there, all threads together. The futex calls depend on who runs when; and
/// workers ask for their rights once a millisecond, which under strace is each time.
const ON_THE_POOL: &[(&str, Budget)] = &[
    ("cached_reads", CACHED_BATCH),
    (
        "direct_read",
        &[
            ("fcntl", 3.0),
            ("statx", 4.0),
            ("ioctl", 1.0),
            ("close", 1.0),
            ("capget", 4.0),
            ("setfsuid", 4.0),
            ("setfsgid", 4.0),
            ("rt_sigprocmask", 6.0),
            ("preadv2", 1.0),
            ("ppoll", 1.0),
            ("prlimit64", 1.0),
            ("sched_yield", 1.0),
            ("futex", 12.0),
        ],
    ),
    (
        "direct_reads",
        &[
            ("fcntl", 48.0),
            ("statx", 64.0),
            ("ioctl", 16.0),
            ("close", 16.0),
            // As if each came alone: how often a worker asks depends on the time.
            ("capget", 64.0),
            ("setfsuid", 64.0),
            ("setfsgid", 64.0),
            ("rt_sigprocmask", 96.0),
            ("preadv2", 16.0),
            ("ppoll", 2.0),
            ("prlimit64", 1.0),
            ("sched_yield", 16.0),
            ("futex", 80.0),
        ],
    ),
    (
        "sync",
        &[
            ("fcntl", 3.0),
            ("statx", 4.0),
            ("fstatfs", 1.0),
            ("close", 1.0),
            ("capget", 4.0),
            ("setfsuid", 4.0),
            ("setfsgid", 4.0),
            ("rt_sigprocmask", 6.0),
            ("fdatasync", 1.0),
            ("ppoll", 1.0),
            ("prlimit64", 1.0),
            ("sched_yield", 1.0),
            ("futex", 12.0),
        ],
    ),
    (
        "armed_poll",
        &[
            ("ppoll", 1.0),
            // A duplicate of its file.
            ("fcntl", 2.0),
            ("close", 1.0),
            ("epoll_ctl", 1.0),
            ("epoll_pwait", 1.0),
            // The program's own.
            ("read", 1.0),
            ("write", 1.0),
        ],
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    let all = [
        (Setting::Default, ON_THE_KERNEL),
        (Setting::Uring, ON_URING),
        (Setting::Pool, ON_THE_POOL),
    ];
    for (setting, budgets) in all {
        for (work, budget) in budgets {
            let name = format!("{}{work}", setting.prefix());
            trials.push(trial(name, move || keeps_within(setting, work, budget)));
        }
    }
    trials.push(trial("a_call_too_many_is_noticed", one_too_many));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn loops() -> Outcome<PathBuf> {
    static PROGRAM: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let stage = library::staged(&library::ours())?;
        let output = scratch::lasting("budget").join("loops");
        c::compile("tests/budget/loops.c", &output, &["-L", &shown(stage.path()), "-laio"])
    });
    PROGRAM.clone()
}

/// System calls in a round, of all threads.
fn count(setting: Setting, work: &str) -> Outcome<BTreeMap<String, f64>> {
    let (stage, place) = (library::staged(&library::ours())?, Scratch::new("budget"));
    let trace = place.path().join("trace");
    let mut strace = Command::new(installed("strace")?);
    strace.args(["-f", "-qq", "-o"]).arg(&trace).arg(loops()?).arg(work);
    strace.arg(place.path().join("file")).env("LD_LIBRARY_PATH", stage.path());
    setting.apply(&mut strace);
    command::run(&mut strace, Duration::from_secs(60))?.expect_success()?;
    let trace = fs::read_to_string(trace)?;
    let mut sections = trace.split("getppid(");
    let Some(between) = sections.nth(1) else { return fail("the marks are missing") };
    let mut counts = BTreeMap::new();
    for line in between.lines() {
        // "1234  name(…": what is resumed was counted when it began.
        let call = line.split_once(' ').map_or("", |(_, call)| call.trim_start());
        if let Some((name, _)) = call.split_once('(')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *counts.entry(name.to_string()).or_insert(0.0) += 1.0 / ROUNDS;
        }
    }
    Ok(counts)
}

/// What is above the budget, one a line.
fn excess(counts: &BTreeMap<String, f64>, budget: Budget) -> String {
    let allowed =
        |name| budget.iter().find(|(call, _)| *call == name).map_or(0.0, |(_, most)| *most);
    let above = counts.iter().filter(|(name, count)| **count > allowed(name.as_str()) + SLACK);
    above.map(|(name, count)| format!("{name}: {count:.2}, not {}\n", allowed(name))).collect()
}

fn keeps_within(setting: Setting, work: &str, budget: Budget) -> Outcome {
    if setting != Setting::Pool {
        setting::needs_uring()?;
    }
    let excess = excess(&count(setting, work)?, budget);
    if excess.is_empty() { Ok(()) } else { fail(format!("calls in a round of {work}:\n{excess}")) }
}

/// The control: a budget without the transfer itself does not suffice.
fn one_too_many() -> Outcome {
    let counts = count(Setting::Default, "cached_read")?;
    assert_eq!(excess(&counts, &[("fcntl", 1.0)]), "preadv2: 1.00, not 0\n");
    Ok(())
}
