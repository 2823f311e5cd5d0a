//! Each system call that the library makes, refused by a seccomp filter: with EPERM and with ENOSYS, from
//! the start and later, in every setting of ours.
//!
//! `c-tests/tools/refused.c` puts up the filter, which looks where the instruction stands, so that the
//! program's own calls pass, and does all kinds of work. All of it must succeed as it does without a
//! filter, but for what the table allows; the README says the same.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use libc::c_long;
use libtest_mimic::Arguments;
use support::calls::{
    Allowance, Call, KERNEL_AIO, NEEDED, OLD_REPLACEMENTS, REPLACED, REPLACED_BY_OLD, REPLACEMENTS,
};
use support::command;
use support::scratch::{self, Scratch};
use support::setting::Setting;
use support::{Outcome, c, fail, library, repository, shown, skip, trial};

/// A case that waits for ever ends here.
const LIMIT: Duration = Duration::from_secs(60);

/// The exit status where there can be no such filter.
const SKIPPED: i32 = 77;

/// Made by the C library in our name.
const THREADS: [c_long; 2] = [libc::SYS_clone, libc::SYS_clone3];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most of the time is spent waiting for workers of the kernel to leave.
    arguments.test_threads = arguments.test_threads.or(Some(32));
    let mut trials = vec![
        trial("the_table_has_every_call_of_the_sources", table_is_complete),
        trial("the_filter_does_refuse", filter_works),
        trial("system::the_work_is_what_the_kernel_does", system),
    ];
    let mut table: Vec<(Call, Allowance)> = Vec::new();
    table.extend(REPLACED.iter().chain(REPLACEMENTS).chain(OLD_REPLACEMENTS).map(nothing));
    let is_old = !OLD_REPLACEMENTS.is_empty();
    let by_old = if is_old { Allowance::Nothing } else { Allowance::Polls };
    table.extend(REPLACED_BY_OLD.iter().map(|call| (*call, by_old)));
    table.extend(NEEDED);
    for setting in Setting::ALL {
        let of_kernel = KERNEL_AIO.iter().map(|call| match (setting, call.1) {
            (Setting::Default, libc::SYS_io_cancel) => (*call, Allowance::Cancels),
            (Setting::Default, _) => (*call, Allowance::Eventfds),
            _ => nothing(call),
        });
        for ((name, number), allowance) in table.iter().copied().chain(of_kernel) {
            // Two files only, and one process for each moment and error.
            let name = format!("{}{name}", setting.prefix());
            trials.push(trial(name, move || all(setting, "library", allowance, &[number])));
        }
        let name = format!("{}threads", setting.prefix());
        let allowance = match setting {
            Setting::Always => Allowance::Polls,
            _ => Allowance::SignalledPolls,
        };
        trials.push(trial(name, move || all(setting, "anywhere", allowance, &THREADS)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn nothing(call: &Call) -> (Call, Allowance) {
    (*call, Allowance::Nothing)
}

fn program() -> Outcome<PathBuf> {
    static PROGRAM: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let stage = library::staged(&library::ours())?;
        let output = scratch::lasting("refused").join("refused");
        let flags = ["-L", &shown(stage.path()), "-laio", "-ldl"];
        c::compile("c-tests/tools/refused.c", &output, &flags)
    });
    PROGRAM.clone()
}

/// Runs refused.c on a library.
fn run(library: &Path, setting: Setting, arguments: &[String]) -> Outcome<command::Ended> {
    let (stage, work) = (library::staged(library)?, Scratch::new("refused"));
    let mut command = Command::new(program()?);
    command.env("LD_LIBRARY_PATH", stage.path()).current_dir(work.path()).args(arguments);
    setting.apply(&mut command);
    let ended = command::run(&mut command, LIMIT)?;
    let library = format!("library {}", shown(stage.path().join("libaio.so.1")));
    if !ended.stdout.lines().any(|line| line == library) {
        return fail(format!("not on {library}\n{}", ended.report()));
    }
    Ok(ended)
}

fn arguments(
    moment: &str,
    place: &str,
    error: i32,
    allowance: Allowance,
    calls: &[c_long],
) -> Vec<String> {
    let mut all =
        vec![moment.to_string(), place.into(), error.to_string(), allowance.name().into()];
    all.extend(calls.iter().map(c_long::to_string));
    all
}

/// At both moments with both errors.
fn all(setting: Setting, place: &str, allowance: Allowance, calls: &[c_long]) -> Outcome {
    for moment in ["start", "later"] {
        for error in [libc::EPERM, libc::ENOSYS] {
            let arguments = arguments(moment, place, error, allowance, calls);
            let ended = run(&library::ours(), setting, &arguments)?;
            if ended.status.code() == Some(SKIPPED) {
                return skip(ended.stderr.trim());
            }
            ended.expect_success()?;
        }
    }
    Ok(())
}

/// No call has this number.
const NO_CALL: c_long = 9999;

/// The work is what kernel AIO does.
fn system() -> Outcome {
    let library = library::system_working()?;
    for moment in ["start", "later"] {
        let arguments = arguments(moment, "library", libc::EPERM, Allowance::Nothing, &[NO_CALL]);
        run(&library, Setting::Default, &arguments)?.expect_success()?;
    }
    Ok(())
}

/// The control: what cannot be replaced is missed.
fn filter_works() -> Outcome {
    let arguments =
        arguments("start", "library", libc::EPERM, Allowance::Nothing, &[libc::SYS_mmap]);
    let ended = run(&library::ours(), Setting::Default, &arguments)?;
    command::expect(ended.status.code() == Some(1), "not refused", &ended)?;
    command::expect(ended.stderr.contains("io_setup(BATCH, &ctx) is -12"), "another error", &ended)
}

/// Names of system calls in a text.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("SYS_") && word.len() > 4)
        .map(String::from)
        .collect()
}

/// Each call in the sources is in the table, and nothing else; the instruction stands where the sources
/// of the calls are.
fn table_is_complete() -> Outcome {
    let mut found = BTreeSet::new();
    let mut pending = vec![repository("src")];
    while let Some(path) = pending.pop() {
        if path.is_dir() && path != repository("src/bin") {
            for entry in fs::read_dir(path)? {
                pending.push(entry?.path());
            }
            continue;
        }
        // Numbers that programs pass to `syscall`, not calls of ours.
        let is_ours = path != repository("src/abi/raw.rs");
        if path.extension().is_some_and(|extension| extension == "rs") && is_ours {
            let text = fs::read_to_string(&path)?;
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.extend(names(&code.collect::<Vec<_>>().join("\n")));
        }
    }
    let needed: Vec<_> = NEEDED.iter().map(|(call, _)| *call).collect();
    let table = [REPLACED, KERNEL_AIO, REPLACEMENTS, OLD_REPLACEMENTS, REPLACED_BY_OLD, &needed];
    let table: BTreeSet<_> =
        table.into_iter().flatten().map(|(name, _)| name.to_string()).collect();
    let missing: Vec<_> = found.difference(&table).collect();
    let unknown: Vec<_> = table.difference(&found).collect();
    if missing.is_empty() && unknown.is_empty() {
        return Ok(());
    }
    fail(format!("not in the table: {missing:?}; not in the sources: {unknown:?}"))
}
