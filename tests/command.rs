//! The command `uaio`: its command line, `uaio run PROGRAM`, and the demonstration.
//!
//! `--library` names the library that this very `cargo test` has built; the command itself would
//! find another one that an earlier `cargo build` left beside it.

/// Names each test after its function.
macro_rules! trials {
    ($($body:ident),* $(,)?) => { vec![$(trial(stringify!($body), $body)),*] };
}

#[path = "command/demonstration.rs"]
mod demonstration;
mod support;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use support::command::{self, Ended, expect};
use support::scratch::Scratch;
use support::{Outcome, c, library, shown, skip, trial};

/// For one run of the command: the demonstration takes about 2 s, and more on a busy disk.
const LIMIT: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = trials![
        help_and_version_are_printed,
        mistakes_are_named_with_status_2,
        a_reader_that_goes_away_is_no_failure,
        a_full_disk_is_a_failure,
        exit_status_and_signals_are_the_programs,
        the_program_takes_the_place_of_the_command,
        arguments_and_environment_are_passed_on,
        the_library_is_put_before_what_is_preloaded,
        sigpipe_stays_as_it_was,
        programs_that_cannot_be_run_are_refused,
        statically_linked_programs_are_refused,
        programs_for_other_machines_are_refused,
        scripts_are_judged_by_their_interpreter,
        set_id_programs_are_refused_unless_they_are_our_own,
        set_id_bits_without_effect_do_not_matter,
        other_libraries_are_refused,
        a_library_path_with_a_space_is_preloaded_through_a_link,
        a_link_that_cannot_be_made_is_told,
        unknown_values_of_variables_are_named,
    ];
    trials.extend(demonstration::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn uaio() -> Command {
    Command::new(env!("CARGO_BIN_EXE_uaio"))
}

/// `uaio run --library LIBRARY`, with our library.
fn run() -> Command {
    run_on(&library::ours())
}

fn run_on(library: &Path) -> Command {
    let mut command = uaio();
    command.args(["run", "--library"]).arg(library);
    command
}

fn run_program(program: impl AsRef<OsStr>) -> Command {
    let mut command = run();
    command.arg("--").arg(program);
    command
}

fn ended(command: &mut Command) -> Outcome<Ended> {
    command::run(command, LIMIT)
}

/// The command failed with `status` and one line of error that contains `words`, and printed
/// nothing else.
fn expect_error(ended: &Ended, status: i32, words: &str) -> Outcome {
    expect(ended.status.code() == Some(status), &format!("not exit status {status}"), ended)?;
    expect(ended.stdout.is_empty(), "standard output is not empty", ended)?;
    let last = ended.stderr.lines().last().unwrap_or_default();
    expect(last.starts_with("uaio: "), "no message of uaio", ended)?;
    expect(last.contains(words), &format!("the message lacks '{words}'"), ended)
}

/// Whether a program started here gains no rights from set-user-ID bits: they say nothing then.
fn has_no_new_privileges() -> bool {
    // SAFETY: only returns an attribute of the process.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

/// Refused before anything ran.
fn expect_refusal(ended: &Ended, words: &str) -> Outcome {
    expect_error(ended, 2, words)?;
    expect(ended.stderr.lines().count() == 1, "more than one line of error", ended)
}

fn is_root() -> bool {
    // SAFETY: only returns a number.
    unsafe { libc::geteuid() == 0 }
}

/// Prints LD_PRELOAD, with the file that its first entry leads to, and what is mapped. Where this
/// repository is in a directory whose name has a space, the entry is a link.
const SHOW: &str = r#"
    first=${LD_PRELOAD%%:*}
    echo "$(readlink -f "$first")${LD_PRELOAD#"$first"}"
    cat /proc/self/maps
"#;

/// A dynamically linked program that is surely there, as a file of our own.
fn copy_of_sh(to: &Path) -> Outcome {
    fs::copy("/bin/sh", to)?;
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Outcome {
    Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
}

fn help_and_version_are_printed() -> Outcome {
    let version = ended(uaio().arg("--version"))?.expect_success()?;
    let expected = format!("uaio {}\n", env!("CARGO_PKG_VERSION"));
    expect(version.stdout == expected, "not the version", &version)?;
    for (args, words) in [
        (["--help", ""], "uaio install"),
        (["-h", ""], "uaio install"),
        (["help", ""], "uaio install"),
        (["help", "run"], "uaio run"),
        (["run", "--help"], "uaio run"),
        (["help", "install"], "--destdir"),
        (["install", "-h"], "--destdir"),
    ] {
        let args = args.into_iter().filter(|arg| !arg.is_empty());
        let help = ended(uaio().args(args))?.expect_success()?;
        expect(help.stdout.contains(words), words, &help)?;
        expect(help.stderr.is_empty(), "errors", &help)?;
    }
    Ok(())
}

fn mistakes_are_named_with_status_2() -> Outcome {
    for (args, words) in [
        ("", "no command"),
        ("frobnicate", "'frobnicate'"),
        ("--frobnicate", "'--frobnicate'"),
        ("run --frobnicate", "'--frobnicate'"),
        ("run --library", "'--library'"),
        ("run --", "'--'"),
        ("help frobnicate", "'frobnicate'"),
        ("install", "'--prefix'"),
        ("install --prefix usr", "absolute"),
    ] {
        expect_refusal(&ended(uaio().args(args.split_whitespace()))?, words)?;
    }
    let not_utf8: OsString = std::os::unix::ffi::OsStringExt::from_vec(b"\xff\xfe".to_vec());
    expect_refusal(&ended(uaio().arg(&not_utf8))?, "unknown command")
}

fn a_reader_that_goes_away_is_no_failure() -> Outcome {
    let (reader, writer) = io::pipe()?;
    drop(reader);
    let output = uaio().arg("--help").stdout(writer).stderr(Stdio::piped()).output()?;
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    Ok(())
}

fn a_full_disk_is_a_failure() -> Outcome {
    let full = File::options().write(true).open("/dev/full")?;
    let output = uaio().arg("--help").stdout(full).stderr(Stdio::piped()).output()?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(shown_bytes(&output.stderr).contains("No space left"), "{output:?}");
    Ok(())
}

fn shown_bytes(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn exit_status_and_signals_are_the_programs() -> Outcome {
    for status in [0, 1, 2, 7, 255] {
        let result = ended(run_program("sh").args(["-c", &format!("exit {status}")]))?;
        expect(result.status.code() == Some(status), "another exit status", &result)?;
        expect(result.stderr.is_empty(), "errors", &result)?;
    }
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV] {
        let result = ended(run_program("sh").args(["-c", &format!("kill -{signal} $$")]))?;
        expect(result.status.signal() == Some(signal), "another signal", &result)?;
    }
    Ok(())
}

fn the_program_takes_the_place_of_the_command() -> Outcome {
    let child = run_program("sh").args(["-c", "echo $$ $PPID"]).stdout(Stdio::piped()).spawn()?;
    let expected = format!("{} {}\n", child.id(), std::process::id());
    let output = child.wait_with_output()?;
    assert_eq!(shown_bytes(&output.stdout), expected);
    Ok(())
}

fn arguments_and_environment_are_passed_on() -> Outcome {
    let script = r#"printf '<%s>' "$0" "$@"; echo "$UAIO_TEST_VALUE""#;
    let with_separator = |separated| {
        let mut command = run();
        if separated {
            command.arg("--");
        }
        command.args(["sh", "-c", script, "zero", "--help", "", "a b", "--", "-x"]);
        command.env("UAIO_TEST_VALUE", "kept");
        command
    };
    for separated in [false, true] {
        let result = ended(&mut with_separator(separated))?.expect_success()?;
        let expected = "<zero><--help><><a b><--><-x>kept\n";
        expect(result.stdout == expected, "other arguments", &result)?;
    }
    // The name is what was typed, not where it was found.
    let result = ended(run_program("cat").arg("/proc/self/cmdline"))?.expect_success()?;
    expect(result.stdout.starts_with("cat\0"), "another name", &result)
}

fn the_library_is_put_before_what_is_preloaded() -> Outcome {
    let ours = fs::canonicalize(library::ours())?;
    let show = |preloaded: Option<&OsStr>| -> Outcome<String> {
        let mut command = run_program("sh");
        command.args(["-c", SHOW]);
        if let Some(preloaded) = preloaded {
            command.env("LD_PRELOAD", preloaded);
        }
        let result = ended(&mut command)?.expect_success()?;
        // The children have it as well.
        expect(result.stdout.contains(&format!(" {}\n", shown(&ours))), "not loaded", &result)?;
        Ok(result.stdout.lines().next().unwrap_or_default().to_string())
    };
    assert_eq!(show(None)?, shown(&ours));
    assert_eq!(show(Some("".as_ref()))?, shown(&ours));
    let scratch = Scratch::new("preloaded");
    let other = scratch.path().join("other.so");
    c::compile("tests/command/kernel.c", &other, &["-shared", "-fPIC"])?;
    assert_eq!(show(Some(other.as_os_str()))?, format!("{}:{}", shown(&ours), shown(&other)));
    let both = format!("{} {}", shown(&other), shown(&other));
    assert_eq!(show(Some(both.as_ref()))?, format!("{}:{both}", shown(&ours)));
    Ok(())
}

fn sigpipe_stays_as_it_was() -> Outcome {
    for (action, expected) in [(libc::SIG_IGN, true), (libc::SIG_DFL, false)] {
        let mut command = run_program("cat");
        command.arg("/proc/self/status");
        command::set_action(&mut command, libc::SIGPIPE, action);
        let result = ended(&mut command)?.expect_success()?;
        let mask = result.stdout.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = u64::from_str_radix(mask.unwrap_or_default().trim(), 16)?;
        let ignored = mask & (1 << (libc::SIGPIPE - 1)) != 0;
        expect(ignored == expected, "SIGPIPE was changed", &result)?;
    }
    Ok(())
}

fn programs_that_cannot_be_run_are_refused() -> Outcome {
    let scratch = Scratch::new("refused");
    let path = |name: &str| scratch.path().join(name);
    copy_of_sh(&path("plain"))?;
    set_mode(&path("plain"), 0o644)?;
    fs::write(path("text"), "echo no interpreter\n")?;
    fs::write(path("empty"), "")?;
    fs::write(path("short"), "\x7fELF")?;
    for name in ["text", "empty", "short"] {
        set_mode(&path(name), 0o755)?;
    }
    symlink("nowhere", path("dangling"))?;
    for (program, words) in [
        (path("absent"), "No such file"),
        (path("dangling"), "No such file"),
        (scratch.path().into(), "is a directory"),
        ("/dev/null".into(), "not a regular file"),
        (path("plain"), "not executable"),
        (path("plain/below"), "Not a directory"),
        (path("text"), "neither an ELF program nor a script"),
        (path("empty"), "neither an ELF program nor a script"),
        (path("short"), "neither an ELF program nor a script"),
        ("surely-no-such-program".into(), "not found in PATH"),
        ("".into(), "not found in PATH"),
    ] {
        let result = ended(&mut run_program(&program))?;
        expect_refusal(&result, words)?;
        expect(result.stderr.contains(&shown(&program)), "the program is not named", &result)?;
    }
    // In PATH, what cannot be executed is passed over for what can.
    symlink("/bin/sh", path("found"))?;
    fs::create_dir(path("first"))?;
    fs::write(path("first/found"), "")?;
    let search = format!("{}:{}", shown(path("first")), shown(scratch.path()));
    ended(run_program("found").args(["-c", ":"]).env("PATH", search))?.expect_success()?;
    let result = ended(run_program("found").env("PATH", path("first")))?;
    expect_refusal(&result, "not executable")
}

fn statically_linked_programs_are_refused() -> Outcome {
    let scratch = Scratch::new("static");
    let path = scratch.path().join("static");
    c::compile("tests/command/static.c", &path, &["-static", "-nostdlib"])?;
    expect_refusal(&ended(&mut run_program(&path))?, "statically linked")?;
    c::compile("tests/command/static.c", &path, &["-static-pie", "-nostdlib", "-fPIE"])?;
    expect_refusal(&ended(&mut run_program(&path))?, "statically linked")
}

fn programs_for_other_machines_are_refused() -> Outcome {
    let scratch = Scratch::new("machine");
    let path = scratch.path().join("program");
    let native = fs::read("/bin/sh")?;
    // Word size, byte order, machine: e_ident[4], e_ident[5], e_machine.
    for (index, words) in [
        (4, "another machine"),
        (5, "another machine"),
        (18, "another machine"),
        (16, "no program"),
    ] {
        let mut bytes = native.clone();
        bytes[index] ^= 0x40;
        fs::write(&path, bytes)?;
        set_mode(&path, 0o755)?;
        expect_refusal(&ended(&mut run_program(&path))?, words)?;
    }
    Ok(())
}

fn scripts_are_judged_by_their_interpreter() -> Outcome {
    let scratch = Scratch::new("scripts");
    let path = |name: &str| scratch.path().join(name);
    let script = |name: &str, first: &str| -> Outcome<PathBuf> {
        fs::write(path(name), format!("{first}\necho \"$LD_PRELOAD\"\n"))?;
        set_mode(&path(name), 0o755)?;
        Ok(path(name))
    };
    let shell = script("shell", "#! /bin/sh -e")?;
    // The kernel does not give scripts their owner's rights, nor is LD_PRELOAD lost.
    set_mode(&shell, 0o6755)?;
    let result = ended(&mut run_program(&shell))?.expect_success()?;
    expect(result.stdout.contains("libaio"), "not preloaded", &result)?;

    let program = path("static");
    c::compile("tests/command/static.c", &program, &["-static", "-nostdlib"])?;
    let on_static = script("on-static", &format!("#!{}", shown(&program)))?;
    let result = ended(&mut run_program(&on_static))?;
    expect_refusal(&result, "statically linked")?;
    expect(result.stderr.contains(&shown(&program)), "interpreter not named", &result)?;
    let on_script = script("on-script", &format!("#!{}", shown(&on_static)))?;
    expect_refusal(&ended(&mut run_program(&on_script))?, "statically linked")?;
    let on_nothing = script("on-nothing", "#!/nonexistent/interpreter")?;
    expect_refusal(&ended(&mut run_program(&on_nothing))?, "/nonexistent/interpreter")?;
    let on_itself = script("on-itself", &format!("#!{}", shown(path("on-itself"))))?;
    expect_refusal(&ended(&mut run_program(&on_itself))?, "too many interpreters")
}

fn set_id_programs_are_refused_unless_they_are_our_own() -> Outcome {
    const NOBODY: u32 = 65534;
    if !is_root() {
        return skip("only root can give a program to another user");
    }
    let scratch = Scratch::new("set-id");
    let path = scratch.path().join("program");
    copy_of_sh(&path)?;
    let set = |uid, gid, mode| -> Outcome {
        chown(&path, Some(uid), Some(gid))?;
        set_mode(&path, mode)
    };
    let run = || ended(run_program(&path).args(["-c", "echo $LD_PRELOAD"]));
    // These have no effect: our own user and group; mandatory locking, without group execution.
    for (uid, gid, mode) in [(0, 0, 0o6755), (0, NOBODY, 0o2745), (NOBODY, NOBODY, 0o755)] {
        set(uid, gid, mode)?;
        let result = run()?.expect_success()?;
        expect(result.stdout.contains("libaio"), "not preloaded", &result)?;
    }
    if has_no_new_privileges() {
        return skip("no_new_privs is set: no program gets another user's rights here");
    }
    set(NOBODY, 0, 0o4755)?;
    expect_refusal(&run()?, "set-user-ID")?;
    set(0, NOBODY, 0o2755)?;
    expect_refusal(&run()?, "set-group-ID")
}

fn set_id_bits_without_effect_do_not_matter() -> Outcome {
    // The system's own set-user-ID programs.
    let is_set_id = |path: &PathBuf| {
        path.metadata().is_ok_and(|it| it.is_file() && it.mode() & libc::S_ISUID != 0)
    };
    let directories = ["/usr/bin", "/bin"].map(PathBuf::from);
    let mut programs = directories.iter().flat_map(|directory| {
        ["su", "mount", "umount", "passwd", "chsh"].map(|name| directory.join(name))
    });
    let Some(program) = programs.find(is_set_id) else {
        return skip("no set-user-ID program is installed");
    };
    let mut command = run_program(&program);
    command.arg("--help");
    // SAFETY: prctl is a plain system call.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        })
    };
    ended(&mut command)?.expect_success()?;
    if is_root() || has_no_new_privileges() {
        return Ok(());
    }
    expect_refusal(&ended(run_program(&program).arg("--help"))?, "set-user-ID")
}

fn other_libraries_are_refused() -> Outcome {
    let scratch = Scratch::new("libraries");
    let path = |name: &str| scratch.path().join(name);
    fs::write(path("text"), "not a library")?;
    c::compile("tests/command/kernel.c", &path("nameless.so"), &["-shared", "-fPIC"])?;
    let damaged = path("damaged.so");
    let bytes = fs::read(library::ours())?;
    fs::write(&damaged, &bytes[..bytes.len() / 2])?;
    for (library, words) in [
        (path("absent"), "No such file"),
        (path("text"), "no shared library"),
        (path("nameless.so"), "no libaio.so.1"),
        (PathBuf::from("/bin/sh"), "no libaio.so.1"),
        (scratch.path().into(), "not a regular file"),
        (damaged, ""),
    ] {
        for program in [&["true"][..], &[]] {
            let result = ended(run_on(&library).args(program))?;
            expect_refusal(&result, words)?;
            expect(result.stderr.contains(&shown(&library)), "not named", &result)?;
        }
    }
    let system = library::system()?;
    expect_refusal(&ended(run_on(&system).arg("true"))?, "another libaio")
}

/// A copy of our library that LD_PRELOAD cannot name.
fn unnameable(scratch: &Scratch) -> Outcome<PathBuf> {
    let path = scratch.path().join("libaio.so");
    fs::copy(library::ours(), &path)?;
    Ok(fs::canonicalize(path)?)
}

fn a_library_path_with_a_space_is_preloaded_through_a_link() -> Outcome {
    let (scratch, temporary) = (Scratch::new("a space"), Scratch::new("temporary"));
    let library = unnameable(&scratch)?;
    // A child of the program has the library, too.
    let script = "echo $$; echo \"$LD_PRELOAD\"; stat -c %a \"${LD_PRELOAD%/*}\"; \
                  cat /proc/self/maps; exit 7";
    let mut command = run_on(&library);
    command.args(["sh", "-c", script]).env("TMPDIR", temporary.path()).stdout(Stdio::piped());
    let child = command.spawn()?;
    let pid = child.id();
    let output = child.wait_with_output()?;
    let stdout = shown_bytes(&output.stdout);
    assert_eq!(output.status.code(), Some(7), "{stdout}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines[0], pid.to_string(), "the program has not taken the command's place");
    assert!(lines[1].starts_with(&shown(temporary.path())), "not in TMPDIR: {stdout}");
    assert_eq!(lines[2], "711", "others could change it");
    assert!(stdout.contains(&format!(" {}\n", shown(&library))), "not loaded: {stdout}");
    let left = || fs::read_dir(temporary.path()).map_or(0, Iterator::count);
    let begin = Instant::now();
    while left() > 0 && begin.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(left(), 0, "the link is left");
    Ok(())
}

fn a_link_that_cannot_be_made_is_told() -> Outcome {
    let scratch = Scratch::new("a space");
    let library = unnameable(&scratch)?;
    let result = ended(run_on(&library).arg("true").env("TMPDIR", "/nonexistent"))?;
    expect_refusal(&result, "contains a space or a colon")?;
    expect(result.stderr.contains("No such file"), "why", &result)
}

fn unknown_values_of_variables_are_named() -> Outcome {
    for (name, value, is_known) in [
        ("UAIO_ENGINE", "pool", true),
        ("UAIO_ENGINE", "xyz", false),
        ("UAIO_RING", "1", false),
        ("UAIO_MAX_NR", "65536", false),
        ("UAIO_SYSCALL", "0", false),
    ] {
        let result = ended(run_program("true").env(name, value))?.expect_success()?;
        let warning = format!("uaio: warning: {name}={value} has no effect");
        expect(result.stderr.contains(&warning) != is_known, name, &result)?;
        expect(result.stderr.lines().count() == usize::from(!is_known), "lines", &result)?;
    }
    Ok(())
}
