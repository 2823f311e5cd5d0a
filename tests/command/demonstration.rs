//! `uaio run` without a program: what it prints, what it refuses to be content with, and that it
//! leaves nothing behind.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::support::command::{self, Ended};
use crate::support::scratch::Scratch;
use crate::support::{Outcome, c, library, shown, skip, trial};
use crate::{
    LIMIT, ended, expect, expect_error, expect_refusal, is_root, run, run_on, set_mode, shown_bytes,
};

const MIB_64: u64 = 64 << 20;

pub fn trials() -> Vec<Trial> {
    trials![
        the_demonstration_works,
        the_demonstration_leaves_nothing,
        the_demonstration_uses_tmpdir,
        the_demonstration_needs_a_usable_directory,
        the_demonstration_runs_on_a_library_path_with_a_space,
        the_demonstration_shows_a_bar_on_a_terminal,
        the_demonstration_fails_if_the_kernel_is_called,
        the_demonstration_forbids_calls_that_it_cannot_count,
        the_demonstration_says_when_calls_are_not_watched,
        the_demonstration_needs_a_compiler,
        a_stopped_demonstration_leaves_nothing,
        a_failing_demonstration_leaves_nothing,
    ]
}

/// The demonstration succeeded; the rows that it printed.
fn expect_demonstration(ended: &Ended, library: &Path) -> Outcome {
    expect(ended.status.success(), "it failed", ended)?;
    let library = shown(fs::canonicalize(library)?);
    let row = |name: &str| {
        let line = ended.stdout.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default().to_string()
    };
    let copied = format!("{MIB_64} copied, checksums equal");
    // 512 blocks of 128 KiB, each read and written; fdsync; two polls.
    for (name, start) in [("library", library.as_str()), ("events", "1027"), ("bytes", &copied)] {
        expect(row(name).starts_with(start), &format!("{name}: not {start}"), ended)?;
    }
    expect(row("engine").contains("O_DIRECT") || row("engine").contains("buffered"), "mode", ended)
}

/// No kernel AIO call was made, as the command has counted.
fn expect_no_kernel_calls(ended: &Ended) -> Outcome {
    if let Some((_, why)) = ended.stdout.split_once("not counted: ") {
        return skip(format!("seccomp offers no listener here: {}", why.trim_end()));
    }
    expect(ended.stdout.contains("kernel AIO  0 calls, counted by seccomp\n"), "calls", ended)
}

fn demonstration_in(directory: &Path, library: &Path) -> Outcome<Ended> {
    ended(run_on(library).current_dir(directory).env_remove("TMPDIR"))
}

/// On an engine that is not the kernel's AIO.
fn demonstration_on(engine: &str, directory: &Path, library: &Path) -> Outcome<Ended> {
    let mut command = run_on(library);
    ended(command.current_dir(directory).env_remove("TMPDIR").env("UAIO_ENGINE", engine))
}

fn entries(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect();
    Ok(entries?)
}

fn the_demonstration_works() -> Outcome {
    let scratch = Scratch::new("demonstration");
    let result = demonstration_in(scratch.path(), &library::ours())?;
    expect_demonstration(&result, &library::ours())?;
    let steps: Vec<&str> = result.stderr.lines().filter(|line| line.ends_with(" %")).collect();
    expect(steps == ["  0 %", " 25 %", " 50 %", " 75 %", "100 %"], "no progress", &result)?;
    expect(!result.stderr.contains('\r'), "a bar in a file", &result)?;
    for engine in ["uring", "pool"] {
        let result = demonstration_on(engine, scratch.path(), &library::ours())?;
        expect_demonstration(&result, &library::ours())?;
        expect_no_kernel_calls(&result)?;
    }
    Ok(())
}

fn the_demonstration_leaves_nothing() -> Outcome {
    let scratch = Scratch::new("leaves-nothing");
    demonstration_in(scratch.path(), &library::ours())?.expect_success()?;
    assert_eq!(entries(scratch.path())?, Vec::<PathBuf>::new());
    Ok(())
}

fn the_demonstration_uses_tmpdir() -> Outcome {
    let scratch = Scratch::new("tmpdir");
    let (here, there) = (scratch.path().join("here"), scratch.path().join("there"));
    fs::create_dir(&here)?;
    fs::create_dir(&there)?;
    let mut command = run();
    let result = ended(command.current_dir(&here).env("TMPDIR", &there))?.expect_success()?;
    let there = shown(fs::canonicalize(&there)?);
    expect(result.stderr.contains(&format!(" in {there}/uaio-")), "not in TMPDIR", &result)
}

fn the_demonstration_needs_a_usable_directory() -> Outcome {
    let scratch = Scratch::new("unusable");
    let file = scratch.path().join("file");
    fs::write(&file, "")?;
    for (directory, words) in
        [(Path::new("/nonexistent"), "No such file"), (&file, "Not a directory")]
    {
        let result = ended(run().env("TMPDIR", directory))?;
        expect_refusal(&result, words)?;
        expect(result.stderr.contains("TMPDIR"), "TMPDIR is not named", &result)?;
    }
    if is_root() {
        return Ok(());
    }
    set_mode(scratch.path(), 0o555)?;
    expect_refusal(&demonstration_in(scratch.path(), &library::ours())?, "Permission denied")
}

fn the_demonstration_runs_on_a_library_path_with_a_space() -> Outcome {
    let scratch = Scratch::new("with a space");
    let path = scratch.path().join("libaio.so");
    fs::copy(library::ours(), &path)?;
    let result = demonstration_on("pool", scratch.path(), &path)?;
    expect_demonstration(&result, &path)?;
    expect_no_kernel_calls(&result)
}

/// A pseudoterminal: the end of its owner, and that of its programs.
fn open_terminal() -> Outcome<(File, OwnedFd)> {
    let (mut owner, mut terminal) = (-1, -1);
    // SAFETY: openpty stores two descriptors, which are ours then; the other arguments may be null.
    unsafe {
        let (name, settings, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
        if libc::openpty(&raw mut owner, &raw mut terminal, name, settings, size) != 0 {
            return Err(io::Error::last_os_error().into());
        }
        for fd in [owner, terminal] {
            libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        }
        Ok((File::from_raw_fd(owner), OwnedFd::from_raw_fd(terminal)))
    }
}

fn the_demonstration_shows_a_bar_on_a_terminal() -> Outcome {
    let scratch = Scratch::new("terminal");
    let (mut owner, terminal) = open_terminal()?;
    let mut child = run()
        .current_dir(scratch.path())
        .env_remove("TMPDIR")
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    // EIO: the last program has closed the terminal.
    while let Ok(got @ 1..) = owner.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..got]);
    }
    let status = child.wait()?;
    let seen = shown_bytes(&seen);
    assert!(status.success(), "{status}: {seen}");
    assert!(seen.contains(&format!("\r[{}] 100 %, 64 of 64 MiB", "#".repeat(32))), "{seen}");
    assert!(seen.contains("#-"), "it does not grow: {seen}");
    Ok(())
}

/// A library that calls the kernel.
fn kernel_library(directory: &Path) -> Outcome<PathBuf> {
    let path = directory.join("libkernel.so");
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libaio.so.1"];
    c::compile("tests/command/kernel.c", &path, &flags)
}

fn the_demonstration_fails_if_the_kernel_is_called() -> Outcome {
    library::system_working()?;
    let scratch = Scratch::new("kernel");
    let library = kernel_library(scratch.path())?;
    let result = demonstration_on("pool", scratch.path(), &library)?;
    expect_error(&result, 1, "kernel AIO calls were made")?;
    for call in ["io_setup 1", "io_cancel 1", "io_destroy 1", "io_submit ", "io_getevents "] {
        expect(result.stderr.contains(call), call, &result)?;
    }
    Ok(())
}

fn unlistened(directory: &Path, how: &str, library: &Path) -> Outcome<Ended> {
    let tool = directory.join("unlisten");
    c::compile("tests/command/unlisten.c", &tool, &[])?;
    let mut command = Command::new(tool);
    command.arg(how).arg(env!("CARGO_BIN_EXE_uaio")).args(["run", "--library"]).arg(library);
    let result = ended(command.current_dir(directory).env_remove("TMPDIR"))?;
    if result.status.code() == Some(125) {
        return skip(format!("seccomp is not available: {}", result.stderr.trim_end()));
    }
    Ok(result)
}

fn the_demonstration_forbids_calls_that_it_cannot_count() -> Outcome {
    let scratch = Scratch::new("occupied");
    let result = unlistened(scratch.path(), "occupied", &library::ours())?;
    expect_demonstration(&result, &library::ours())?;
    expect(result.stdout.contains("not counted: Device or resource busy"), "why", &result)?;
    expect(result.stdout.contains("forbidden by seccomp (ENOSYS)"), "what instead", &result)?;
    let library = kernel_library(scratch.path())?;
    let result = unlistened(scratch.path(), "occupied", &library)?;
    expect_error(&result, 1, "io_setup: Function not implemented")
}

fn the_demonstration_says_when_calls_are_not_watched() -> Outcome {
    let scratch = Scratch::new("forbidden");
    let result = unlistened(scratch.path(), "forbidden", &library::ours())?;
    expect_demonstration(&result, &library::ours())?;
    expect(result.stdout.contains("not counted: Function not implemented"), "why", &result)?;
    expect(!result.stdout.contains("0 calls"), "a count that was none", &result)
}

fn the_demonstration_needs_a_compiler() -> Outcome {
    let scratch = Scratch::new("compiler");
    let result =
        ended(run().current_dir(scratch.path()).env_remove("TMPDIR").env("PATH", scratch.path()))?;
    expect_error(&result, 1, "'cc': No such file")?;
    assert_eq!(entries(scratch.path())?, Vec::<PathBuf>::new());
    Ok(())
}

fn a_stopped_demonstration_leaves_nothing() -> Outcome {
    // Each of these files appears at the beginning of a phase.
    for (signal, phase) in
        [(libc::SIGINT, "libaio.so"), (libc::SIGTERM, "source"), (libc::SIGHUP, "copied")]
    {
        let scratch = Scratch::new("stopped");
        let mut command = run();
        command.current_dir(scratch.path()).env_remove("TMPDIR");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // A shell may have started us with SIGINT ignored.
        command::set_action(&mut command, signal, libc::SIG_DFL);
        let mut child = command.spawn()?;
        let start = Instant::now();
        let reached = || {
            let directories = entries(scratch.path()).unwrap_or_default();
            directories.iter().any(|directory| directory.join(phase).symlink_metadata().is_ok())
        };
        while !reached() && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SAFETY: the child is not reaped yet.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        let status = child.wait()?;
        assert_eq!(status.signal(), Some(signal), "{phase}: {status}");
        assert_eq!(entries(scratch.path())?, Vec::<PathBuf>::new(), "{phase}");
    }
    Ok(())
}

fn a_failing_demonstration_leaves_nothing() -> Outcome {
    let scratch = Scratch::new("limited");
    let mut command = run();
    command.current_dir(scratch.path()).env_remove("TMPDIR");
    // SAFETY: setrlimit is a plain system call.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    };
    expect_error(&ended(&mut command)?, 1, "File too large")?;
    assert_eq!(entries(scratch.path())?, Vec::<PathBuf>::new());
    Ok(())
}
