//! The n-th of each of our system calls fails, for n = 1, 2, … until a run is clean, and so does the
//! creation of threads: nothing crashes, hangs, is lost or is left behind.
//!
//! The library for this is built with the feature `fault-injection` in a directory of its own
//! (`src/sys/faults.rs`); `c-tests/tools/faults.c` does the work, in a process for each fault. Usually
//! many of a kind are skipped, the later the more; `UAIO_FAULTS=all` leaves none out.

mod support;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use libc::c_long;
use libtest_mimic::Arguments;
use support::calls::{Call, KERNEL_AIO, NEEDED, REPLACED, REPLACED_BY_OLD};
use support::scratch::{self, Scratch};
use support::setting::Setting;
use support::{Outcome, c, command, fail, installed, library, repository, shown, trial};

/// All faults of a kind, each of which may take half a minute to fail.
const LIMIT: Duration = Duration::from_secs(300);
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// How many have to be survived.
const FEWEST: u32 = 2000;
/// Faults of a kind, before some are skipped.
const DENSE: &str = "8";

/// Stands for the creation of a thread; faults.c says so too.
const THREAD: c_long = -1;
/// In place of an error: a transfer does less than was asked for.
const SHORT: i32 = 0;

const ERRORS: [i32; 7] =
    [libc::ENOMEM, libc::EAGAIN, libc::EMFILE, libc::EPERM, libc::ENOSYS, libc::EINTR, SHORT];

/// How many of each call have been made to fail, and how many of those runs were right.
static DONE: Mutex<BTreeMap<&str, (u32, u32)>> = Mutex::new(BTreeMap::new());

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The work waits more than it computes.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let needed: Vec<Call> = NEEDED.iter().map(|(call, _)| *call).collect();
    let mut trials = vec![
        trial("only_the_library_for_this_test_has_faults", is_only_here),
        trial("a_fault_that_matters_is_noticed", control),
    ];
    for (number, error, nth) in CROSS_CHECKS {
        let name = format!("strace::{}::{error}::{nth}", name_of(*number));
        trials.push(trial(name, move || by_strace(*number, error, *nth)));
    }
    for setting in Setting::ALL {
        let prefix = setting.prefix();
        let calls =
            REPLACED.iter().chain(KERNEL_AIO).chain(REPLACED_BY_OLD).chain(&needed).copied();
        for call in calls.chain([("threads", THREAD)]) {
            trials.push(trial(format!("{prefix}{}", call.0), move || sweep(setting, call)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let is_whole = arguments.filter.is_none() && !arguments.list;
    if is_whole && !is_enough() {
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

/// Prints what was done; whether that is what was promised.
fn is_enough() -> bool {
    let done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    let sum = done.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    for (name, (injected, survived)) in done.iter() {
        println!("{name:24} {injected:6} injected {survived:6} survived");
    }
    println!("{:24} {:6} injected {:6} survived", "all", sum.0, sum.1);
    if sum.1 < FEWEST {
        println!("fewer than {FEWEST} faults");
    }
    sum.1 >= FEWEST
}

/// Runs cargo for a library whose calls can fail.
fn faulty() -> Outcome<PathBuf> {
    static FAULTY: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("faults");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--offline", "--lib", "--features", "fault-injection"])
            .arg("--manifest-path")
            .arg(repository("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            // Those that cargo set for this test are not meant for another build.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET");
        command::run(&mut build, BUILD_LIMIT)?.expect_success()?;
        Ok(target.join("debug/libaio.so"))
    });
    FAULTY.clone()
}

fn program() -> Outcome<PathBuf> {
    static PROGRAM: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let stage = library::staged(&library::ours())?;
        let output = scratch::lasting("faults").join("faults");
        let flags = ["-L", &shown(stage.path()), "-laio"];
        c::compile("c-tests/tools/faults.c", &output, &flags)
    });
    PROGRAM.clone()
}

/// faults.c on a library, perhaps as the argument of another program.
fn client(
    library: &Path,
    setting: Setting,
    before: &[&str],
    arguments: &[String],
) -> Outcome<command::Ended> {
    let (stage, work) = (library::staged(library)?, Scratch::new("faults"));
    let program = program()?;
    let mut command = match before {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(installed(first)?);
            // The program alone is to find our library.
            command.args(rest).arg("-E");
            command.arg(format!("LD_LIBRARY_PATH={}", shown(stage.path()))).arg(&program);
            command
        }
    };
    setting.apply(&mut command);
    command.current_dir(work.path()).args(arguments);
    if before.is_empty() {
        command.env("LD_LIBRARY_PATH", stage.path());
    }
    command::run(&mut command, LIMIT)
}

/// The numbers in faults.c's last line: injected, survived.
fn counts(ended: &command::Ended) -> Outcome<(u32, u32)> {
    let words: Vec<&str> = ended.stdout.split_whitespace().collect();
    match words[..] {
        ["injected", injected, "survived", survived] => Ok((injected.parse()?, survived.parse()?)),
        _ => fail(format!("no counts\n{}", ended.report())),
    }
}

fn sweep(setting: Setting, (name, number): Call) -> Outcome {
    let is_all = env::var_os("UAIO_FAULTS").is_some_and(|value| value == "all");
    let dense = if is_all { "1000000" } else { DENSE };
    let mut failures = String::new();
    for error in ERRORS {
        // pthread_create has one.
        if number == THREAD && error != libc::EAGAIN {
            continue;
        }
        let arguments = [number.to_string(), error.to_string(), dense.to_string()];
        let ended = client(&faulty()?, setting, &[], &arguments)?;
        let (injected, survived) = counts(&ended)?;
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = done.entry(name).or_default();
        *sum = (sum.0 + injected, sum.1 + survived);
        if !ended.status.success() || survived != injected {
            failures += &ended.report();
        }
    }
    if failures.is_empty() { Ok(()) } else { fail(failures) }
}

/// What strace makes fail, in the library as it is shipped: call, error, the how-manieth.
const CROSS_CHECKS: &[(c_long, &str, u32)] = &[
    (libc::SYS_io_setup, "EAGAIN", 1),
    (libc::SYS_io_submit, "ENOMEM", 2),
    (libc::SYS_io_submit, "ENOSYS", 3),
    (libc::SYS_io_getevents, "EINTR", 2),
    (libc::SYS_preadv2, "ENOMEM", 3),
    (libc::SYS_pwritev2, "EINTR", 4),
    (libc::SYS_epoll_ctl, "ENOMEM", 4),
    (libc::SYS_epoll_create1, "EMFILE", 1),
    (libc::SYS_io_uring_setup, "ENOMEM", 1),
    (libc::SYS_io_uring_enter, "EAGAIN", 3),
    (libc::SYS_statx, "ENOSYS", 2),
];

fn name_of(number: c_long) -> &'static str {
    let needed = NEEDED.iter().map(|(call, _)| call);
    let mut calls = REPLACED.iter().chain(KERNEL_AIO).chain(REPLACED_BY_OLD).chain(needed);
    calls.find(|(_, known)| *known == number).map_or("", |(name, _)| &name["SYS_".len()..])
}

/// strace, which makes one call of each thread fail.
fn strace(number: c_long, error: &str, nth: u32) -> Vec<String> {
    let name = name_of(number);
    let inject = format!("inject={name}:error={error}:when={nth}");
    let trace = format!("trace={name}");
    let words = ["strace", "-f", "-qq", "-o", "trace", "-e", &trace, "-e", &inject];
    words.map(String::from).to_vec()
}

fn by_strace(number: c_long, error: &str, nth: u32) -> Outcome {
    let before = strace(number, error, nth);
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let value = match error {
        "ENOMEM" => libc::ENOMEM,
        "EINTR" => libc::EINTR,
        "EMFILE" => libc::EMFILE,
        "EAGAIN" => libc::EAGAIN,
        _ => libc::ENOSYS,
    };
    let arguments = [number.to_string(), value.to_string(), "once".to_string()];
    client(&library::ours(), Setting::Default, &before, &arguments)?.expect_success()?;
    Ok(())
}

/// The control: an error that the operation itself did not have is not let pass as its result.
fn control() -> Outcome {
    // What the client submits alone is done by that call; a batch is the kernel's.
    let before = strace(libc::SYS_preadv2, "ENOMEM", 1);
    let arguments = [libc::SYS_epoll_ctl, libc::ENOMEM.into()].map(|number| number.to_string());
    let arguments = [&arguments[..], &["once".to_string()]].concat();
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let ended = client(&library::ours(), Setting::Default, &before, &arguments)?;
    command::expect(ended.status.code() == Some(1), "it was let pass", &ended)?;
    command::expect(ended.stderr.contains("result -12"), "another error", &ended)
}

/// Only the library that was built for it looks for a plan.
fn is_only_here() -> Outcome {
    let has_plan = |path: &Path| -> Outcome<bool> {
        let bytes = fs::read(path)?;
        Ok(bytes.windows(11).any(|window| window == b"UAIO_FAULTS"))
    };
    assert!(has_plan(&faulty()?)?);
    assert!(!has_plan(&library::ours())?);
    Ok(())
}
