//! Our library where the process has been denied something, or does something unkind.
//!
//! `c-tests/tools/hostile.c` makes the environment and does the work. Each case runs in every
//! setting of ours, and on the system's libaio (`system`), which shows that it asks for no more
//! than the kernel gives. Those that use up the kernel AIO of the whole machine run alone, at the end.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Arguments;
use support::command::{self, Ended};
use support::scratch::{self, Scratch};
use support::setting::Setting;
use support::{Outcome, c, fail, library, shown, skip, trial};

/// A case that waits for ever ends here.
const LIMIT: Duration = Duration::from_secs(60);

/// The exit status of a case that this machine does not allow.
const SKIPPED: i32 = 77;

const CASES: &[&str] = &[
    "nothing",
    "strangers",
    "no_file_descriptors",
    "full_file_table",
    "file_table_fills_up_later",
    "file_table_full_before_the_first_request",
    "few_file_descriptors",
    "no_standard_files",
    "no_threads",
    "nobody_without_locked_memory",
    "locked_memory",
    "address_space_of_64_megabytes",
    "no_address_space",
    "small_files_only",
    "chroot_without_proc",
    "closed_all_descriptors",
    "descriptors_replaced",
    "alarms",
    "all_signals_blocked",
    "changed_user",
    "entered_user_namespace",
    "forked",
    "spawned",
    "replaced",
    "small_stack",
];

/// Not on the system's libaio: each io_destroy takes the kernel 30 ms.
const OURS_ONLY: &[&str] = &["thousands_of_contexts", "more_contexts_at_work_than_descriptors"];

/// KILL leaves no way to try a forbidden call and go on. A program on libaio may use kernel AIO, and
/// under a filter io_uring is not tried unasked.
const KILLING: &[(Setting, &str)] = &[
    (Setting::Default, "uring"),
    (Setting::Always, "uring"),
    (Setting::Uring, "aio"),
    (Setting::Pool, "aio,uring"),
];

/// C tests of reads, writes, syncs, polls and waits under the filter of `c-tests/tools/stock_filter.c`,
/// which knows libaio and plain C programs: what else the library calls ends the process.
const UNDER_STOCK_FILTER: &[&str] = &[
    "append_ignores_the_offset",
    "batch_runs_in_order",
    "buffer_errors",
    "cancel_pending_poll",
    "destroy_ends_pending_polls",
    "destroy_waits_for_direct_io",
    "direct_io",
    "direct_io_errors",
    "direct_reads_among_waiters",
    "direct_reads_and_polls_in_one_wait",
    "direct_writes_into_holes",
    "eventfd_readable_means_event_in_ring",
    "fork_child_does_direct_io_of_its_own",
    "fsync_and_poll_field_errors",
    "fsync_of_every_file",
    "getevents_partial_count_on_signal",
    "getevents_returns_up_to_nr",
    "getevents_stress_conserves_events",
    "getevents_timeout_values",
    "iovec_errors",
    "many_contexts",
    "pgetevents_with_direct_io_in_flight",
    "pipes_and_fifos",
    "poll_is_one_shot",
    "poll_keeps_file_open",
    "poll_thousand_files",
    "regular_files",
    "rwf_flags",
    "signals_end_waits_for_direct_io",
    "sockets",
    "thousands_in_flight",
    "threads_share_a_context",
    "threads_submit_and_reap",
];

/// Not on the system's libaio, and not beside other programs that use kernel AIO.
const ALONE: &[&str] = &["kernel_aio_exhausted", "kernel_aio_exhausted_later"];

/// The same; where the machine's limit can be lowered, it is.
const THOUSAND: &str = "thousand_contexts_with_direct_reads";

#[derive(Clone, Copy)]
enum Which {
    Ours(Setting),
    System,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for case in CASES {
        let system = format!("system::{case}");
        trials.push(trial(system, move || hostile(Which::System, &[], case)));
    }
    for setting in Setting::ALL {
        let (prefix, ours) = (setting.prefix(), Which::Ours(setting));
        for case in CASES.iter().chain(OURS_ONLY) {
            trials.push(trial(format!("{prefix}{case}"), move || hostile(ours, &[], case)));
        }
        let name = format!("{prefix}before_main_and_after_exit");
        trials.push(trial(name, move || before_and_after(ours)));
    }
    trials.push(trial("system::before_main_and_after_exit", || before_and_after(Which::System)));
    for error in ["ENOSYS", "EPERM", "EACCES"] {
        for setting in Setting::ALL {
            let (prefix, ours) = (setting.prefix(), Which::Ours(setting));
            for calls in ["aio,uring", "aio", "uring"] {
                let filter = move || hostile(ours, &[error, calls], "nothing");
                trials.push(trial(format!("{prefix}forbidden::{error}::{calls}"), filter));
            }
            let filter = move || hostile(ours, &[error, "aio,uring"], "no_threads");
            trials.push(trial(format!("{prefix}forbidden::{error}::no_threads"), filter));
        }
    }
    for case in ["nothing", "strangers", "no_threads"] {
        for (setting, calls) in KILLING {
            let filter = move || hostile(Which::Ours(*setting), &["KILL", calls], case);
            let name = format!("{}forbidden::KILL::{calls}::{case}", setting.prefix());
            trials.push(trial(name, filter));
        }
    }
    trials.push(trial("the_filter_does_forbid", filter_works));
    for name in UNDER_STOCK_FILTER {
        trials.push(trial(format!("stock_filter::{name}"), move || under_stock_filter(name)));
    }
    trials.push(trial("stock_filter::control", stock_filter_works));
    let mut alone = Vec::new();
    for setting in Setting::ALL {
        for case in ALONE {
            let name = format!("{}{case}", setting.prefix());
            alone.push(trial(name, move || hostile(Which::Ours(setting), &[], case)));
        }
        let name = format!("{}{THOUSAND}", setting.prefix());
        alone.push(trial(name, move || {
            let _little = LittleKernelAio::begin();
            hostile(Which::Ours(setting), &[], THOUSAND)
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    let last = libtest_mimic::run(&arguments, alone);
    match conclusion.has_failed() {
        true => conclusion.exit_code(),
        false => last.exit_code(),
    }
}

impl Which {
    /// A directory where it is called `libaio.so.1`.
    fn staged(self) -> Outcome<Scratch> {
        library::staged(&match self {
            Which::Ours(_) => library::ours(),
            Which::System => library::system_working()?,
        })
    }

    fn setting(self) -> Setting {
        match self {
            Which::Ours(setting) => setting,
            Which::System => Setting::Default,
        }
    }
}

/// Compiles a program and links it with our library, under the name that every program knows.
fn build(source: &str, program: &str) -> Outcome<PathBuf> {
    let stage = library::staged(&library::ours())?;
    let output = scratch::lasting("hostile").join(program);
    c::compile(source, &output, &["-L", &shown(stage.path()), "-laio", "-ldl"])
}

fn forbid() -> Outcome<PathBuf> {
    static FORBID: LazyLock<Outcome<PathBuf>> =
        LazyLock::new(|| build("c-tests/tools/forbid.c", "forbid"));
    FORBID.clone()
}

fn client() -> Outcome<PathBuf> {
    static CLIENT: LazyLock<Outcome<PathBuf>> =
        LazyLock::new(|| build("c-tests/tools/hostile.c", "hostile"));
    CLIENT.clone()
}

/// A directory that the client may still write to when it has become another user.
fn work_directory() -> Outcome<Scratch> {
    let work = Scratch::new("hostile");
    fs::set_permissions(work.path(), fs::Permissions::from_mode(0o777))?;
    Ok(work)
}

fn command(filter: &[&str], program: &Path, stage: &Scratch, work: &Scratch) -> Outcome<Command> {
    let mut command = if filter.is_empty() {
        Command::new(program)
    } else {
        let mut launcher = Command::new(forbid()?);
        launcher.args(filter).arg(program);
        launcher
    };
    command.env_remove("LD_PRELOAD").env("LD_LIBRARY_PATH", stage.path()).current_dir(work.path());
    Ok(command)
}

fn run_case(which: Which, filter: &[&str], case: &str) -> Outcome<Ended> {
    let (stage, work) = (which.staged()?, work_directory()?);
    let mut command = command(filter, &client()?, &stage, &work)?;
    which.setting().apply(&mut command);
    let ended = command::run(command.arg(case), LIMIT)?;
    let library = format!("library {}", shown(stage.path().join("libaio.so.1")));
    if !ended.stdout.lines().any(|line| line == library) {
        return fail(format!("not on {library}\n{}", ended.report()));
    }
    Ok(ended)
}

fn hostile(which: Which, filter: &[&str], case: &str) -> Outcome {
    let ended = run_case(which, filter, case)?;
    if ended.status.code() == Some(SKIPPED) {
        return skip(ended.stderr.trim());
    }
    ended.expect_success()?;
    Ok(())
}

/// fs.aio-max-nr, lowered for a while to what is in use and 2,000 more.
struct LittleKernelAio(String);

impl LittleKernelAio {
    const LIMIT: &str = "/proc/sys/fs/aio-max-nr";

    /// `None`: only root can.
    fn begin() -> Option<Self> {
        let before = fs::read_to_string(Self::LIMIT).ok()?;
        let used: u64 = fs::read_to_string("/proc/sys/fs/aio-nr").ok()?.trim().parse().ok()?;
        fs::write(Self::LIMIT, (used + 2000).to_string()).ok()?;
        Some(LittleKernelAio(before))
    }
}

impl Drop for LittleKernelAio {
    fn drop(&mut self) {
        let _ = fs::write(Self::LIMIT, &self.0);
    }
}

/// The control of the `forbidden` cases: kernel AIO does not get through.
fn filter_works() -> Outcome {
    let ended = run_case(Which::System, &["ENOSYS", "aio,uring"], "nothing")?;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.report());
    assert!(ended.stderr.contains("io_setup"), "{}", ended.report());
    Ok(())
}

fn run_under_stock_filter(name: &str, mode: &str) -> Outcome<Ended> {
    static FILTER: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let output = scratch::lasting("hostile").join("stock_filter.so");
        c::compile("c-tests/tools/stock_filter.c", &output, &["-shared", "-fPIC", "-ldl"])
    });
    let program = build(&format!("c-tests/{name}.c"), name)?;
    let (stage, work) = (library::staged(&library::ours())?, work_directory()?);
    let mut command = command(&[], &program, &stage, &work)?;
    Setting::Default.apply(&mut command);
    command.env("LD_PRELOAD", FILTER.clone()?).env("STOCK_FILTER", mode).env("C_TEST_ON", "uaio");
    command::run(&mut command, LIMIT)
}

fn under_stock_filter(name: &str) -> Outcome {
    let ended = run_under_stock_filter(name, "")?;
    if ended.status.code() == Some(SKIPPED) {
        return skip(ended.stdout.trim());
    }
    ended.expect_success()?;
    Ok(())
}

/// The control: what the library calls beyond that is noticed.
fn stock_filter_works() -> Outcome {
    let ended = run_under_stock_filter("poll_is_one_shot", "strict")?;
    command::expect(!ended.status.success(), "not forbidden", &ended)
}

fn before_and_after(which: Which) -> Outcome {
    static PROGRAM: LazyLock<Outcome<PathBuf>> =
        LazyLock::new(|| build("c-tests/tools/static.cc", "static"));
    let (stage, work) = (which.staged()?, work_directory()?);
    let program = PROGRAM.clone()?;
    let mut command = command(&[], &program, &stage, &work)?;
    which.setting().apply(&mut command);
    let ended = command::run(&mut command, LIMIT)?;
    let ended = ended.expect_success()?;
    assert_eq!(ended.stdout.lines().last(), Some("destroyed in the destructor"));
    Ok(())
}
