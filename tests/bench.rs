//! The command `uaio bench`: what it refuses, that its figures follow from what it measured, that
//! it believes no library, and that it leaves nothing behind.

/// Names each test after its function.
macro_rules! trials {
    ($($body:ident),* $(,)?) => { vec![$(trial(stringify!($body), $body)),*] };
}

#[path = "bench/parts.rs"]
mod parts;
mod support;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Arguments;
use parts::*;
use serde_json::Value;
use support::command::{self, Ended, expect};
use support::scratch::Scratch;
use support::{Outcome, c, fail, library, repository, shown, skip, trial};

/// For one run of the command.
const LIMIT: Duration = Duration::from_secs(120);
/// Where the quick ones take a few seconds.
const QUICK: [&str; 5] = ["--quick", "--only", "cached-read-d1", "--only", "poll-ready-16"];

fn main() -> ExitCode {
    let trials = trials![
        help_is_printed,
        mistakes_are_refused,
        workloads_are_listed,
        ratios_follow_from_the_samples,
        without_kernel_aio_engines_are_compared,
        the_native_library_is_not_ours,
        files_with_content_are_refused,
        short_space_is_told,
        wrong_results_are_failures,
        a_stopped_run_leaves_nothing,
        a_terminal_shows_a_bar,
        the_event_loop_of_qemu_is_compared,
        blocking_calls_are_counted,
        file_systems_are_made_and_removed,
        a_file_system_without_mkfs_is_left_out,
        a_stopped_run_leaves_no_file_system,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// `uaio bench --library LIBRARY`, in `directory`.
fn bench(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uaio"));
    command.args(["bench", "--library"]).arg(library::ours()).current_dir(directory);
    command
}

fn ended(command: &mut Command) -> Outcome<Ended> {
    command::run(command, LIMIT)
}

/// The command failed with `status`, and its last line of error contains `words`.
fn expect_error(ended: &Ended, status: i32, words: &str) -> Outcome {
    expect(ended.status.code() == Some(status), &format!("not exit status {status}"), ended)?;
    let last = ended.stderr.lines().last().unwrap_or_default();
    expect(last.starts_with("uaio: "), "no message of uaio", ended)?;
    expect(last.contains(words), &format!("the message lacks '{words}'"), ended)
}

fn entries(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect();
    Ok(entries?)
}

fn help_is_printed() -> Outcome {
    for args in [["help", "bench"], ["bench", "--help"], ["bench", "-h"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uaio"));
        let help = ended(command.args(args))?.expect_success()?;
        for option in ["quick", "only", "list", "pairs", "seconds", "engines", "file", "json"] {
            expect(help.stdout.contains(&format!("--{option}")), option, &help)?;
        }
    }
    Ok(())
}

fn mistakes_are_refused() -> Outcome {
    let scratch = Scratch::new("bench-mistakes");
    for (args, words) in [
        ("extra", "extra"),
        ("--frobnicate", "'--frobnicate'"),
        ("--pairs 0", "'--pairs'"),
        ("--seconds x", "'--seconds'"),
        ("--engines driver", "'driver'"),
        ("--only no-such-workload", "'no-such-workload'"),
        ("--file /nonexistent", "No such file"),
        ("--file /dev/null", "neither a directory nor a regular file"),
        ("--json /nonexistent/file", "'/nonexistent/file'"),
        ("--native /etc/passwd", "'/etc/passwd'"),
    ] {
        let result = ended(bench(scratch.path()).args(args.split(' ')))?;
        expect_error(&result, 2, words)?;
        expect(result.stdout.is_empty(), "standard output is not empty", &result)?;
        expect(result.stderr.lines().count() == 1, "something was announced", &result)?;
    }
    // Not meant for users, but no reason to crash.
    let mut worker = Command::new(env!("CARGO_BIN_EXE_uaio"));
    expect_error(&ended(worker.args(["bench-worker", "{}"]))?, 2, "not a job")
}

fn workloads_are_listed() -> Outcome {
    let scratch = Scratch::new("bench-list");
    let names = |args: &[&str]| -> Outcome<Vec<String>> {
        let result = ended(bench(scratch.path()).arg("--list").args(args))?.expect_success()?;
        let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_string();
        Ok(result.stdout.lines().map(first).collect())
    };
    let all = names(&[])?;
    for name in ["direct-read-d128-b16", "cold-read-d32", "poll-armed-1000", "contexts-1000"] {
        assert!(all.iter().any(|it| it == name), "{name} is not in {all:?}");
    }
    let quick = names(&["--quick"])?;
    assert!(quick.len() < all.len() && quick.iter().all(|it| all.contains(it)), "{quick:?}");
    let expected: Vec<&String> =
        all.iter().filter(|it| it.contains("append") || it.contains("fdsync")).collect();
    assert!(names(&["--only", "fdsync", "--only", "append"])?.iter().eq(expected));
    assert_eq!(names(&["--only", "direct-read-d1"])?, ["direct-read-d1"]);
    Ok(())
}

/// The figure at a path like `latency.p50`.
fn number(value: &Value, path: &str) -> Outcome<f64> {
    let found = path.split('.').try_fold(value, |value, key| value.get(key));
    match found.and_then(Value::as_f64) {
        Some(number) => Ok(number),
        None => fail(format!("no number at {path} in {value}")),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        (figures[middle - 1] + figures[middle]) / 2.0
    }
}

/// One of the figures that are compared, from a sample.
type Figure = fn(&Value) -> Outcome<f64>;

/// Computes again what must follow from the samples.
fn check_workload(workload: &Value, base: &str, sides: usize) -> Outcome {
    let rounds = array(&workload["rounds"]);
    assert!(rounds.len() >= 7, "{} rounds", rounds.len());
    let throughput: Figure = |it| Ok(number(it, "ops")? * 1e9 / number(it, "wall_ns")?);
    let cpu: Figure =
        |it| Ok((number(it, "user_ns")? + number(it, "system_ns")?) / number(it, "ops")?);
    let p50: Figure = |it| number(it, "latency.p50");
    let p99: Figure = |it| number(it, "latency.p99");
    for round in rounds {
        let order: BTreeSet<String> = array(&round["order"]).iter().map(text).collect();
        let samples = round["samples"].as_object().ok_or("no samples")?;
        assert!(order.iter().eq(samples.keys()) && order.len() == sides, "{order:?}");
        for sample in samples.values() {
            assert!(number(sample, "ops")? > 0.0 && number(sample, "errors")? == 0.0);
            assert_eq!(sample["ops"], sample["events"]);
            let (p50, p99) = (p50(sample)?, p99(sample)?);
            assert!(0.0 < p50 && p50 <= p99 && p99 <= number(sample, "latency.max")?, "{sample}");
        }
    }
    let comparisons = array(&workload["comparisons"]);
    assert_eq!(comparisons.len(), sides - 1);
    for comparison in comparisons {
        let engine = text(&comparison["engine"]);
        for (name, figure) in [("throughput", throughput), ("cpu", cpu), ("p50", p50), ("p99", p99)]
        {
            let ratio = |round: &Value| -> Outcome<f64> {
                let samples = &round["samples"];
                Ok(figure(&samples[&engine])? / figure(&samples[base])?)
            };
            let ratios: Vec<f64> = rounds.iter().map(ratio).collect::<Outcome<_>>()?;
            let written: Vec<f64> =
                array(&comparison[name]["rounds"]).iter().filter_map(Value::as_f64).collect();
            let is_close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs();
            let all_close = ratios.iter().zip(&written).all(|(&a, &b)| is_close(a, b));
            assert!(ratios.len() == written.len() && all_close, "{name}: {ratios:?} {written:?}");
            let summary = &comparison[name]["summary"];
            assert!(is_close(number(summary, "median")?, median(ratios)), "{name}: {summary}");
        }
    }
    Ok(())
}

/// The last line counts, for each side, the medians beyond the limits.
fn check_closing_line(results: &Value, result: &Ended) -> Outcome {
    let sides = array(&results["subjects"]).iter().skip(1).map(|it| text(&it["name"]));
    let side = |side: String| -> Outcome<String> {
        let all = array(&results["workloads"]).iter().flat_map(|it| array(&it["comparisons"]));
        let of_side: Vec<&Value> = all.filter(|it| it["engine"] == *side).collect();
        let medians = |name: &str| -> Outcome<Vec<f64>> {
            of_side.iter().map(|it| number(&it[name], "summary.median")).collect()
        };
        let below = medians("throughput")?.into_iter().filter(|it| *it < 0.97).count();
        let above = medians("cpu")?.into_iter().filter(|it| *it > 1.1).count();
        let count = of_side.len();
        Ok(format!("{side}: {below} of {count} below 0.97x, {above} above 1.10x CPU"))
    };
    let expected = sides.map(side).collect::<Outcome<Vec<_>>>()?.join("; ");
    let last = result.stdout.lines().last().unwrap_or_default();
    expect(last == expected, &format!("the last line is not '{expected}'"), result)
}

fn read_json(path: &Path) -> Outcome<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

fn ratios_follow_from_the_samples() -> Outcome {
    library::system_working()?;
    let scratch = Scratch::new("bench-ratios");
    let (json, svg) = (scratch.path().join("out.json"), scratch.path().join("out.svg"));
    let mut command = bench(scratch.path());
    command.args(QUICK).arg("--json").arg(&json).arg("--svg").arg(&svg);
    let start = Instant::now();
    let result = ended(&mut command)?.expect_success()?;
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    expect(result.stderr.contains("about "), "no estimate", &result)?;
    expect(result.stderr.contains("1/2 "), "no progress", &result)?;
    expect(!result.stderr.contains('\r'), "a bar in a file", &result)?;

    let results = read_json(&json)?;
    assert_eq!(results["base"], "native");
    let workloads = array(&results["workloads"]);
    let names: Vec<String> = workloads.iter().map(|it| text(&it["name"])).collect();
    assert_eq!(names, ["cached-read-d1", "poll-ready-16"]);
    let mut orders = BTreeSet::new();
    for workload in workloads {
        check_workload(workload, "native", 4)?;
        orders.extend(array(&workload["rounds"]).iter().map(|it| it["order"].to_string()));
        // The table has the same figures.
        let row = result.stdout.lines().skip_while(|it| !it.starts_with(&text(&workload["name"])));
        let rows: Vec<&str> = row.take(4).collect();
        for (row, side) in rows.iter().zip(["native", "default", "uring", "pool"]) {
            expect(row.contains(&format!(" {side} ")), "rows are missing", &result)?;
        }
        let default = &array(&workload["comparisons"])[0];
        let ratio = format!(" {:.2}x ", number(default, "cpu.summary.median")?);
        expect(rows[1].contains(&ratio), &format!("no{ratio}"), &result)?;
    }
    assert!(orders.len() > 1, "always the same order: {orders:?}");
    check_closing_line(&results, &result)?;
    let libraries: Vec<String> =
        array(&results["subjects"]).iter().map(|it| text(&it["library"])).collect();
    let ours = shown(fs::canonicalize(library::ours())?);
    assert!(libraries[0] != ours && libraries[1..].iter().all(|it| *it == ours), "{libraries:?}");

    let picture = fs::read_to_string(&svg)?;
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    assert!(names.iter().all(|name| picture.contains(name)), "names are missing in the picture");
    let left: BTreeSet<PathBuf> = entries(scratch.path())?.into_iter().collect();
    assert_eq!(left, BTreeSet::from([json, svg]));
    Ok(())
}

fn without_kernel_aio_engines_are_compared() -> Outcome {
    let scratch = Scratch::new("bench-forbidden");
    let forbid = scratch.path().join("forbid");
    c::compile("c-tests/tools/forbid.c", &forbid, &[])?;
    let json = scratch.path().join("out.json");
    let run = |args: &[&str]| {
        let mut command = Command::new(&forbid);
        command.args(["ENOSYS", "aio", env!("CARGO_BIN_EXE_uaio"), "bench", "--library"]);
        command.arg(library::ours()).current_dir(scratch.path()).args(args);
        ended(&mut command)
    };
    let words = "the kernel has no AIO for us: Function not implemented";
    let result = run(&[&QUICK[..], &["--json", &shown(&json)]].concat())?;
    if result.status.code() == Some(125) {
        return skip(format!("seccomp is not available: {}", result.stderr.trim_end()));
    }
    let result = result.expect_success()?;
    expect(result.stderr.contains(words), "not said at the beginning", &result)?;
    expect(result.stdout.contains(words), "not said at the end", &result)?;
    let results = read_json(&json)?;
    assert_eq!(results["base"], "default");
    for workload in array(&results["workloads"]) {
        check_workload(workload, "default", 3)?;
        assert_eq!(workload["comparisons"][0]["engine"], "uring");
    }
    expect_error(&run(&["--quick", "--engines", "pool"])?, 2, "nothing to compare with")
}

fn the_native_library_is_not_ours() -> Outcome {
    let scratch = Scratch::new("bench-native");
    let result = ended(bench(scratch.path()).arg("--native").arg(library::ours()))?;
    expect_error(&result, 2, "is uaio's own")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_uaio"));
    let system = library::system()?;
    let result = ended(command.args(["bench", "--library"]).arg(system))?;
    expect_error(&result, 2, "another libaio")
}

fn files_with_content_are_refused() -> Outcome {
    let scratch = Scratch::new("bench-file");
    let file = scratch.path().join("file");
    fs::write(&file, "precious")?;
    let result = ended(bench(scratch.path()).args(QUICK).arg("--file").arg(&file))?;
    expect_error(&result, 2, "not empty")?;
    assert_eq!(fs::read(&file)?, b"precious");
    assert_eq!(entries(scratch.path())?, [file]);
    Ok(())
}

fn short_space_is_told() -> Outcome {
    let scratch = Scratch::new("bench-space");
    let small = scratch.path().join("small");
    fs::create_dir(&small)?;
    let target = CString::new(small.as_os_str().as_bytes())?;
    let mut command = bench(scratch.path());
    command.args(QUICK).arg("--file").arg(&small).args(["--json", "out.json"]);
    // SAFETY: these are plain system calls; the strings were made before the fork.
    unsafe {
        command.pre_exec(move || {
            let (none, tmpfs) = (std::ptr::null(), c"tmpfs".as_ptr());
            let private = libc::MS_REC | libc::MS_PRIVATE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null()) != 0
                || libc::mount(tmpfs, target.as_ptr(), tmpfs, 0, c"size=8m".as_ptr().cast()) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        })
    };
    // The error of the closure is that of spawn.
    match command.output() {
        Err(error) => return skip(format!("cannot mount a small tmpfs: {error}")),
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            let words = "has 8 MiB of free space, 144 MiB are needed";
            assert!(stderr.contains(words), "{stderr}");
        }
    }
    assert_eq!(entries(scratch.path())?, [small]);
    Ok(())
}

fn wrong_results_are_failures() -> Outcome {
    let scratch = Scratch::new("bench-liar");
    let liar = scratch.path().join("liar.so");
    let map = format!("-Wl,--version-script={}", shown(repository("tests/bench/liar.map")));
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libaio.so.1", &map];
    c::compile("tests/bench/liar.c", &liar, &flags)?;
    for (engines, lie, words) in [
        ("uring,pool", "", "uring: a request ended with Input/output error instead of 4096"),
        ("pool,uring", "", "pool: a read gave block 0 instead of "),
        ("uring,pool", "never", "uring: no answer within "),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uaio"));
        command.args(["bench", "--quick", "--only", "cached-read-d1", "--pairs", "20"]);
        command.args(["--engines", engines, "--library"]).arg(&liar).current_dir(scratch.path());
        command.env("LIE", lie);
        // Which side comes first is chance, and the first that fails ends the workload.
        let result = (0..20)
            .map(|_| ended(&mut command))
            .find(|result| result.as_ref().map_or(true, |it| it.stdout.contains(words)));
        let Some(result) = result else { return fail(format!("never: {words}")) };
        expect_error(&result?, 1, "measurements failed: cached-read-d1")?;
    }
    assert_eq!(entries(scratch.path())?, [liar]);
    Ok(())
}

fn a_stopped_run_leaves_nothing() -> Outcome {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let scratch = Scratch::new("bench-stopped");
        let mut command = bench(scratch.path());
        command.args(["--only", "cached-read-d1", "--seconds", "60", "--json", "out.json"]);
        stop(&mut command, signal)?;
        assert_eq!(entries(scratch.path())?, Vec::<PathBuf>::new());
    }
    Ok(())
}

/// Sends `signal` as soon as there is a worker; the command dies of it, and the worker with it.
fn stop(command: &mut Command, signal: i32) -> Outcome {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    // A shell may have started us with SIGINT ignored.
    command::set_action(command, signal, libc::SIG_DFL);
    let mut child = command.spawn()?;
    let pid = child.id();
    let start = Instant::now();
    let worker = || {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        let is_worker = |child: &&str| {
            let arguments = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains("bench-worker")
        };
        children.split_whitespace().find(is_worker).map(str::to_string)
    };
    let found = loop {
        match worker() {
            Some(worker) => break worker,
            None if start.elapsed() > LIMIT => return fail("no worker was started"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    // SAFETY: the child is not reaped yet.
    unsafe { libc::kill(pid as libc::pid_t, signal) };
    let status = child.wait()?;
    assert_eq!(status.signal(), Some(signal), "{status}");
    // Whom SIGKILL leaves alone dies soon after.
    while signal == libc::SIGKILL && Path::new(&format!("/proc/{found}")).exists() {
        assert!(start.elapsed() < LIMIT, "the worker goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!Path::new(&format!("/proc/{found}")).exists(), "the worker goes on");
    Ok(())
}

fn a_terminal_shows_a_bar() -> Outcome {
    let scratch = Scratch::new("bench-terminal");
    let (mut owner, mut terminal) = (-1, -1);
    // SAFETY: openpty stores two descriptors, which are ours then; the other arguments may be null.
    let (mut owner, terminal) = unsafe {
        let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
        if libc::openpty(&raw mut owner, &raw mut terminal, name, settings, size) != 0 {
            return Err(io::Error::last_os_error().into());
        }
        libc::fcntl(owner, libc::F_SETFD, libc::FD_CLOEXEC);
        (File::from_raw_fd(owner), File::from_raw_fd(terminal))
    };
    let mut command = bench(scratch.path());
    command.args(QUICK).env("TERM", "xterm").stdout(Stdio::null()).stderr(terminal);
    let mut child = command.spawn()?;
    // Or the terminal would never be closed.
    drop(command);
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(got @ 1..) = owner.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..got]);
    }
    let status = child.wait()?;
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(status.success(), "{status}: {seen}");
    for words in ["#-", "%, ", " left: cached-read-d1", " left: poll-ready-16"] {
        assert!(seen.contains(words), "no '{words}': {seen}");
    }
    assert!(!seen.contains("1/2 "), "lines and a bar: {seen}");
    Ok(())
}
