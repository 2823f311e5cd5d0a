//! Real programs, unchanged, on our library.
//!
//! Each case runs on the system's libaio (`system`), which shows that the command line is right and
//! does use kernel AIO; with our library preloaded (`preloaded`), and the same on io_uring and on the
//! pool, where strace must count not one kernel AIO call (`preloaded::uring`, `preloaded::pool`); and with
//! kernel AIO and io_uring forbidden by seccomp, by `ENOSYS` and by `EPERM` (`forbidden`). One case of
//! each program runs where a kernel AIO call ends the process that makes it: on io_uring and on the pool
//! (`killed`), and without our library, where it fails (`killed::control`). Some run in every setting.
//! Which engine does direct I/O in each setting is shown, too (`engine`). The witness stands in front of
//! the library in all of them but the controls: each event once, and none is missing.

#[path = "programs/mariadb.rs"]
mod mariadb;
mod support;

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::LazyLock;
use std::time::Duration;

use libtest_mimic::Arguments;
use mariadb::mariadb;
use support::command::{self, Ended};
use support::scratch::{self, Scratch};
use support::setting::{self, Setting};
use support::witness::{self, Report};
use support::{Outcome, Stop, c, fail, installed, library, skip, trial};

const CALLS: [&str; 6] =
    ["io_setup", "io_submit", "io_getevents", "io_pgetevents", "io_cancel", "io_destroy"];

/// What a thread calls when it uses io_uring.
const URING_CALL: &str = "io_uring_enter";

/// For one run of one program, of which none takes 10 s on two processors.
const LIMIT: Duration = Duration::from_secs(90);

/// The commands of a case, and checks of what they wrote.
type Body = fn(&Run) -> Outcome;

macro_rules! cases {
    ($($body:ident),* $(,)?) => { &[$((stringify!($body), $body)),*] };
}

const CASES: &[(&str, Body)] = cases![
    fio_direct,
    fio_buffered,
    fio_direct_in_batches,
    fio_direct_reaped_from_the_ring,
    fio_buffered_reaped_from_the_ring,
    fio_fsync_and_fdatasync,
    fio_synchronous_files,
    fio_four_processes,
    fio_four_threads,
    fio_nowait,
    fio_priorities,
    qemu_io_patterns,
    qemu_io_many_in_flight,
    qemu_img_bench_read,
    qemu_img_bench_write,
    stress_ng_with_raw_system_calls,
    stressapptest_disk_and_file,
    sysbench_buffered_validated,
    sysbench_direct,
    mariadb,
];

/// Those where it matters who submits to io_uring and who fills the ring.
const IN_EVERY_SETTING: &[(&str, Body)] = cases![
    fio_direct_in_batches,
    fio_direct_reaped_from_the_ring,
    fio_fsync_and_fdatasync,
    fio_four_threads,
    qemu_io_many_in_flight,
    qemu_img_bench_read,
    qemu_img_bench_write,
    mariadb,
];

/// One of each program.
const ONE_OF_EACH: &[(&str, Body)] = cases![
    fio_direct,
    fio_four_threads,
    qemu_io_patterns,
    qemu_img_bench_read,
    stress_ng_with_raw_system_calls,
    stressapptest_disk_and_file,
    sysbench_direct,
];

/// How it shows that a program, or a child of fio's or stress-ng's, was killed by the filter.
const KILLED: [&str; 3] = ["(SIGSYS)", "got signal=31", "unsuccessful run completed"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    System,
    Preloaded(Setting),
    /// Kernel AIO and io_uring fail with this error.
    Forbidden(&'static str),
    /// Kernel AIO kills.
    Killed(Setting),
    /// It does, and our library is not there.
    Control,
}

impl Mode {
    fn name(self) -> String {
        match self {
            Mode::System => "system".to_string(),
            Mode::Preloaded(Setting::Default) => "preloaded".to_string(),
            Mode::Preloaded(setting) => format!("preloaded::{}", setting.name()),
            Mode::Forbidden(errno) => format!("forbidden::{errno}"),
            Mode::Killed(setting) => format!("killed::{}", setting.name()),
            Mode::Control => "killed::control".to_string(),
        }
    }

    fn setting(self) -> Setting {
        match self {
            Mode::Preloaded(setting) | Mode::Killed(setting) => setting,
            _ => Setting::Default,
        }
    }
}

const MODES: [(Mode, &[(&str, Body)]); 10] = [
    (Mode::System, CASES),
    (Mode::Preloaded(Setting::Default), CASES),
    (Mode::Preloaded(Setting::Uring), CASES),
    (Mode::Preloaded(Setting::Pool), CASES),
    (Mode::Preloaded(Setting::Always), IN_EVERY_SETTING),
    (Mode::Forbidden("ENOSYS"), CASES),
    (Mode::Forbidden("EPERM"), IN_EVERY_SETTING),
    (Mode::Killed(Setting::Uring), ONE_OF_EACH),
    (Mode::Killed(Setting::Pool), ONE_OF_EACH),
    (Mode::Control, ONE_OF_EACH),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (mode, cases) in MODES {
        for (case, body) in cases {
            let name = format!("{}::{case}", mode.name());
            trials.push(trial(name, move || Run::new(mode)?.through(*body)));
        }
    }
    for setting in Setting::ALL {
        let name = format!("engine::{}", setting.name());
        trials.push(trial(name, move || engine_in_use(setting)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Direct I/O goes to the kernel's AIO, or to what was asked for.
fn engine_in_use(setting: Setting) -> Outcome {
    setting::needs_uring()?;
    let mut run = Run::new(Mode::Preloaded(setting))?;
    run.tracing = Tracing::Plain;
    fio_direct(&run)?;
    let of_kernel = run.traced(&["io_submit"])?.len();
    let of_uring = run.traced(&[URING_CALL])?.len();
    let is_right = match setting {
        Setting::Default => of_kernel > 0 && of_uring == 0,
        Setting::Uring => of_kernel == 0 && of_uring > 0,
        Setting::Pool => of_kernel == 0 && of_uring == 0,
        Setting::Always => of_kernel + of_uring > 0,
    };
    if is_right {
        return Ok(());
    }
    fail(format!("{of_kernel} calls of io_submit, {of_uring} of {URING_CALL}"))
}

/// How strace looks at a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracing {
    /// Not at all.
    None,
    /// It stops at each call.
    Plain,
    /// By a filter, with which it is quick. Under a filter our library does not use io_uring unasked.
    Filter,
}

/// The commands of one case in one mode, all in one directory.
struct Run {
    mode: Mode,
    tracing: Tracing,
    directory: Scratch,
    /// Where our library is called `libaio.so.1`.
    stage: Scratch,
    /// Of the witness, which stands in front of either library.
    report: Report,
    /// Requests whose events the program does not want: they end with their context.
    unwanted: Cell<u64>,
}

impl Run {
    fn new(mode: Mode) -> Outcome<Self> {
        if let Mode::System = mode {
            library::system_working()?;
        }
        let stage = library::staged(&library::ours())?;
        let directory = Scratch::new("program");
        let report = Report::new(directory.path());
        let tracing = match mode {
            Mode::System | Mode::Preloaded(Setting::Uring | Setting::Pool) => Tracing::Filter,
            _ => Tracing::None,
        };
        Ok(Run { mode, tracing, directory, stage, report, unwanted: Cell::new(0) })
    }

    fn through(&self, body: Body) -> Outcome {
        if let Mode::Control = self.mode {
            return match body(self) {
                Ok(()) => fail("the program got by without our library"),
                Err(Stop::Fail(what)) if KILLED.iter().any(|words| what.contains(words)) => Ok(()),
                otherwise => otherwise,
            };
        }
        body(self)?;
        self.witnessed()?;
        if self.tracing == Tracing::None {
            // Whose call of the kernel was killed does not come here: see `killed::control`.
            return Ok(());
        }
        let calls = self.traced(&CALLS)?;
        match self.mode {
            Mode::System if !calls.iter().any(|call| call == "io_submit") => {
                fail("the program submitted nothing through libaio, so the case proves nothing")
            }
            Mode::Preloaded(_) if !calls.is_empty() => fail(format!(
                "{} kernel AIO calls got past the library, the first is {}",
                calls.len(),
                calls[0]
            )),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a program in this mode to its successful end.
    fn program(&self, program: &str, arguments: &[&str]) -> Outcome<Ended> {
        let program = installed(program)?;
        let mut line: Vec<OsString> = Vec::new();
        if self.tracing != Tracing::None {
            line.extend([strace()?.into(), "-f".into(), "-qq".into(), "-A".into()]);
            line.extend(["-o".into(), self.path("trace").into(), "-e".into()]);
            line.push(format!("trace={},{URING_CALL}", CALLS.join(",")).into());
        }
        if self.tracing == Tracing::Filter {
            line.push("--seccomp-bpf".into());
        }
        match self.mode {
            Mode::Forbidden(errno) => {
                line.extend([forbid()?.into(), errno.into(), "aio,uring".into()]);
            }
            Mode::Killed(_) | Mode::Control => {
                line.extend([forbid()?.into(), "KILL".into(), "aio".into()]);
            }
            Mode::System | Mode::Preloaded(_) => {}
        }
        if self.mode != Mode::Control {
            // By env, so that neither strace nor the launcher has the libraries in it.
            let ours = self.stage.path().join("libaio.so.1");
            let behind = (self.mode != Mode::System).then_some(ours.as_path());
            let mut preload = OsString::from("LD_PRELOAD=");
            preload.push(witness::preload(behind)?);
            line.extend(["env".into(), preload, self.report.variable()]);
        }
        line.push(program.into());
        line.extend(arguments.iter().map(OsString::from));
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(self.directory.path()).env_remove("LD_PRELOAD");
        self.mode.setting().apply(&mut command);
        command::run(&mut command, LIMIT)?.expect_success()
    }

    /// What the witness has seen in front of the library: each event once, and none is missing.
    fn witnessed(&self) -> Outcome {
        let counts = self.report.expect_clean()?;
        let left = ["in_flight", "blurred", "unknown"].map(|name| counts.of(name));
        let unwanted = self.unwanted.get();
        if counts.of("accepted") == 0 || left != [0; 3] || counts.of("dropped") != unwanted {
            return fail(format!(
                "what the witness has seen, with {unwanted} unwanted\n{}",
                self.report.text()
            ));
        }
        Ok(())
    }

    /// The names of those calls in the trace that are wanted, one for each call.
    fn traced(&self, wanted: &[&str]) -> Outcome<Vec<String>> {
        // A line is "PID name(arguments) = result"; "<... name resumed>" is a call's second half.
        let calls = fs::read_to_string(self.path("trace"))?
            .lines()
            .filter_map(|line| line.split_once(' ')?.1.trim_start().split_once('('))
            .filter(|(name, _)| wanted.contains(name))
            .map(|(name, _)| name.to_string())
            .collect();
        Ok(calls)
    }

    /// Skips where the file system of the scratch directory refuses O_DIRECT.
    fn needs_direct_io(&self) -> Outcome {
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_DIRECT)
            .open(self.path("direct-probe"));
        match opened {
            Ok(_) => Ok(()),
            Err(error) => {
                skip(format!("no O_DIRECT in {}: {error}", self.directory.path().display()))
            }
        }
    }

    /// A sparse file of `bytes` zeros.
    fn sparse(&self, name: &str, bytes: u64) -> Outcome {
        fs::File::create(self.path(name))?.set_len(bytes)?;
        Ok(())
    }
}

/// strace, where it can trace, or the reason to skip.
fn strace() -> Outcome<PathBuf> {
    static USABLE: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let strace = installed("strace")?;
        let mut probe = Command::new(&strace);
        probe.args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"]);
        let ended = command::run(&mut probe, LIMIT)?;
        if ended.status.success() {
            Ok(strace)
        } else {
            skip(format!("strace cannot trace here: {}", ended.stderr.trim()))
        }
    });
    USABLE.clone()
}

/// The launcher that forbids system calls.
fn forbid() -> Outcome<&'static Path> {
    static FORBID: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        c::compile("c-tests/tools/forbid.c", &scratch::lasting("programs").join("forbid"), &[])
    });
    FORBID.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}

const FIO: &[&str] = &[
    "--name=job",
    "--ioengine=libaio",
    "--bs=4k",
    "--size=4m",
    "--iodepth=16",
    "--verify_state_save=0",
    "--group_reporting",
    "--eta=never",
];
const VERIFIED: &[&str] = &["--verify=crc32c", "--verify_fatal=1"];
const BATCHES: &[&str] = &["--iodepth=64", "--iodepth_batch=16", "--iodepth_low=8"];

fn fio(run: &Run, arguments: &[&[&str]]) -> Outcome {
    let all = [FIO, &arguments.concat()].concat();
    if all.contains(&"--direct=1") {
        run.needs_direct_io()?;
    }
    let ended = run.program("fio", &all)?;
    // One line for each job, with the first error of the job.
    let jobs: Vec<_> = ended.stdout.lines().filter(|line| line.contains("err=")).collect();
    if jobs.is_empty() || jobs.iter().any(|line| !line.contains("err= 0")) {
        return fail(ended.report());
    }
    Ok(())
}

fn fio_direct(run: &Run) -> Outcome {
    fio(run, &[&["--direct=1", "--rw=randrw"], VERIFIED])
}

fn fio_buffered(run: &Run) -> Outcome {
    fio(run, &[&["--direct=0", "--rw=randrw", "--bsrange=1k-64k"], VERIFIED])
}

fn fio_direct_in_batches(run: &Run) -> Outcome {
    let complete = &["--iodepth_batch_complete_min=8", "--iodepth_batch_complete_max=32"];
    fio(run, &[&["--direct=1", "--rw=randrw"], BATCHES, complete, VERIFIED])
}

/// fio looks into the ring by itself only when it asks for no event in particular.
const FROM_THE_RING: &[&str] = &["--userspace_reap", "--iodepth_batch_complete_min=0"];

fn fio_direct_reaped_from_the_ring(run: &Run) -> Outcome {
    fio(run, &[&["--direct=1", "--rw=randrw"], BATCHES, FROM_THE_RING, VERIFIED])
}

fn fio_buffered_reaped_from_the_ring(run: &Run) -> Outcome {
    fio(run, &[&["--direct=0", "--rw=randrw"], BATCHES, FROM_THE_RING, VERIFIED])
}

fn fio_fsync_and_fdatasync(run: &Run) -> Outcome {
    let sync = &["--rw=randwrite", "--fsync=7", "--fdatasync=3", "--size=1m"];
    fio(run, &[&["--direct=1"], sync])?;
    fio(run, &[&["--direct=0"], sync])
}

fn fio_synchronous_files(run: &Run) -> Outcome {
    let sync = &["--rw=randrw", "--sync=1", "--size=1m"];
    fio(run, &[&["--direct=1"], sync, VERIFIED])?;
    fio(run, &[&["--direct=0"], sync, VERIFIED])
}

const FOUR_JOBS: &[&str] = &["--direct=1", "--rw=randrw", "--numjobs=4", "--size=1m"];

fn fio_four_processes(run: &Run) -> Outcome {
    fio(run, &[FOUR_JOBS, VERIFIED])
}

fn fio_four_threads(run: &Run) -> Outcome {
    fio(run, &[FOUR_JOBS, VERIFIED, &["--thread"]])
}

fn fio_nowait(run: &Run) -> Outcome {
    let help = command::run(Command::new(installed("fio")?).arg("--enghelp=libaio"), LIMIT)?;
    if !help.stdout.contains("nowait") {
        return skip("this fio has no RWF_NOWAIT");
    }
    fio(run, &[&["--direct=1", "--rw=randread", "--nowait=1"]])?;
    // In the page cache, or RWF_NOWAIT would have to fail.
    fio(run, &[&["--direct=0", "--rw=randread", "--nowait=1", "--invalidate=0", "--pre_read=1"]])
}

fn fio_priorities(run: &Run) -> Outcome {
    // Best effort, which anyone may ask for.
    let priority = &["--cmdprio_percentage=50", "--cmdprio_class=2", "--cmdprio=1"];
    fio(run, &[&["--direct=1", "--rw=randrw"], priority])
}

/// QEMU finds out whether syncs can be asynchronous by one that it submits in a context of its own,
/// which it destroys at once.
fn qemu(run: &Run, program: &str, arguments: &[&str]) -> Outcome<Ended> {
    run.unwanted.set(run.unwanted.get() + 1);
    run.program(program, arguments)
}

/// Runs qemu-io commands on a raw image with `native`, which is libaio.
fn qemu_io(run: &Run, commands: &[String]) -> Outcome {
    run.needs_direct_io()?;
    run.sparse("image", 16 << 20)?;
    let mut arguments = vec!["-f", "raw", "-t", "none", "-i", "native"];
    for command in commands {
        arguments.extend(["-c", command.as_str()]);
    }
    arguments.push("image");
    let ended = qemu(run, "qemu-io", &arguments)?;
    // Failures of asynchronous commands do not reach the exit status.
    let done = ended.stdout.lines().filter(|line| line.contains("bytes at offset")).count();
    let transfers = commands.iter().filter(|line| line.contains("-P")).count();
    if ended.stdout.contains("fail") || ended.stderr.contains("fail") || done != transfers {
        return fail(format!("{done} of {transfers} transfers\n{}", ended.report()));
    }
    Ok(())
}

fn qemu_io_patterns(run: &Run) -> Outcome {
    let commands = [
        "write -P 0xa5 0 1M",
        "read -P 0xa5 0 1M",
        "write -f -P 0x17 4M 128k",
        "read -P 0x17 4M 128k",
        "writev -P 0x3c 5M 4k 64k 512 1k",
        "readv -P 0x3c 5M 512 64k 4k 1k",
        "aio_write -P 0x5a 64k 128k",
        "aio_write -P 0x11 2M 64k 4k",
        "aio_flush",
        "aio_read -P 0x5a 64k 128k",
        "aio_read -P 0x11 2M 68k",
        "aio_read -P 0xa5 0 64k",
        "aio_flush",
        "flush",
        // Never written, and beyond what was.
        "read -P 0 12M 1M",
    ];
    qemu_io(run, &commands.map(String::from))
}

fn qemu_io_many_in_flight(run: &Run) -> Outcome {
    let blocks = 0..64;
    let writes = blocks.clone().map(|i| format!("aio_write -P {} {}k 16k", i + 1, i * 16));
    let reads = blocks.map(|i| format!("aio_read -P {} {}k 16k", i + 1, i * 16));
    let flush = || std::iter::once("aio_flush".to_string());
    qemu_io(run, &writes.chain(flush()).chain(reads).chain(flush()).collect::<Vec<_>>())
}

fn qemu_img_bench(run: &Run, options: &[&str]) -> Outcome {
    run.needs_direct_io()?;
    run.sparse("image", 16 << 20)?;
    let common = ["bench", "-f", "raw", "-t", "none", "-i", "native", "-c", "2000", "-d", "32"];
    let ended = qemu(run, "qemu-img", &[&common, options, &["image"]].concat())?;
    if !ended.stdout.contains("Run completed in") {
        return fail(ended.report());
    }
    Ok(())
}

fn qemu_img_bench_read(run: &Run) -> Outcome {
    qemu_img_bench(run, &["-s", "4096"])
}

fn qemu_img_bench_write(run: &Run) -> Outcome {
    qemu_img_bench(run, &["-w", "-s", "4096", "--flush-interval", "64"])?;
    // Twice over the same blocks: the second time they are mapped.
    qemu_img_bench(run, &["-w", "-s", "65536", "-S", "65536", "--pattern", "90"])
}

fn stress_ng_with_raw_system_calls(run: &Run) -> Outcome {
    // Not linked with libaio at all: syscall(2) is its only way.
    run.program("stress-ng", &["--aiol", "1", "--aiol-ops", "50", "--verify", "--temp-path", "."])?;
    Ok(())
}

fn stressapptest_disk_and_file(run: &Run) -> Outcome {
    run.needs_direct_io()?;
    // Only its disk test is asynchronous; it wants three times the assumed cache.
    run.sparse("disk", 8 << 20)?;
    let disk = ["-d", "./disk", "--destructive", "--cache-size", "1048576"];
    let file = ["-f", "./file", "--filesize", "1m"];
    let size = ["-s", "1", "-M", "16", "-m", "0"];
    let ended = run.program("stressapptest", &[&size[..], &disk, &file].concat())?;
    if !ended.stdout.contains("Status: PASS") {
        return fail(ended.report());
    }
    Ok(())
}

fn sysbench(run: &Run, options: &[&str]) -> Outcome {
    let common = [
        "fileio",
        "--file-num=4",
        "--file-total-size=8M",
        "--file-test-mode=rndrw",
        "--file-io-mode=async",
        "--file-fsync-freq=20",
        "--time=60",
        "--events=2000",
    ];
    let arguments = [&common, options].concat();
    for step in ["prepare", "run", "cleanup"] {
        let ended = run.program("sysbench", &[&arguments[..], &[step]].concat())?;
        let whole = step != "run" || ended.stdout.contains("total number of events:");
        if ended.stdout.contains("FATAL") || ended.stderr.contains("FATAL") || !whole {
            return fail(ended.report());
        }
    }
    Ok(())
}

fn sysbench_buffered_validated(run: &Run) -> Outcome {
    // It validates right after io_submit: buffered reads must be there by then.
    sysbench(run, &["--threads=1", "--validate"])
}

fn sysbench_direct(run: &Run) -> Outcome {
    run.needs_direct_io()?;
    sysbench(run, &["--threads=2", "--file-extra-flags=direct"])
}
