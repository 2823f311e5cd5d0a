//! `uaio install`: the tree that it makes, programs built against that tree, and that it makes
//! either all of it or nothing.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use support::command::{self, Ended, expect};
use support::scratch::Scratch;
use support::{Outcome, c, fail, installed, library, shown, skip, trial};

const LIMIT: Duration = Duration::from_secs(60);

macro_rules! trials {
    ($($body:ident),* $(,)?) => { vec![$(trial(stringify!($body), $body)),*] };
}

fn main() -> ExitCode {
    let trials: Vec<Trial> = trials![
        the_tree_is_complete,
        the_files_are_what_was_built,
        destdir_is_for_writing_only,
        directories_can_be_chosen,
        modes_do_not_depend_on_the_umask,
        the_t64_soname_names_the_files,
        the_installed_command_finds_its_library,
        a_program_is_built_through_pkg_config,
        a_program_is_linked_to_the_archive,
        a_program_is_linked_statically,
        an_older_installation_is_replaced,
        the_installed_command_installs_itself,
        bad_arguments_install_nothing,
        what_is_in_the_way_is_left_alone,
        files_of_others_are_not_replaced,
        a_missing_archive_installs_nothing,
        a_full_disk_installs_nothing,
        a_failing_upgrade_changes_nothing,
        an_unwritable_prefix_is_refused,
        a_list_that_cannot_be_printed_is_no_failure,
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// `uaio install`, of what this `cargo test` has built.
fn install() -> Command {
    install_of(&library::ours())
}

fn install_of(library: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uaio"));
    command.args(["install", "--library"]).arg(library);
    command
}

fn ended(command: &mut Command) -> Outcome<Ended> {
    command::run(command, LIMIT)
}

fn expect_error(ended: &Ended, status: i32, words: &str) -> Outcome {
    expect(ended.status.code() == Some(status), &format!("not exit status {status}"), ended)?;
    expect(ended.stdout.is_empty(), "standard output is not empty", ended)?;
    expect(ended.stderr.lines().count() == 1, "not one line of error", ended)?;
    expect(ended.stderr.contains(words), &format!("the message lacks '{words}'"), ended)
}

/// An installation in a directory of its own.
fn installation(label: &str) -> Outcome<Scratch> {
    let scratch = Scratch::new(label);
    ended(install().arg("--prefix").arg(scratch.path()))?.expect_success()?;
    Ok(scratch)
}

/// What is below a directory: a mode or a link's target by relative path.
fn tree(root: &Path) -> Outcome<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            let what = if metadata.is_symlink() {
                format!("-> {}", shown(fs::read_link(&path)?))
            } else if metadata.is_dir() {
                left.push(path.clone());
                format!("directory {:o}", metadata.mode() & 0o7777)
            } else {
                format!("{:o}", metadata.mode() & 0o7777)
            };
            found.insert(shown(path.strip_prefix(root)?), what);
        }
    }
    Ok(found)
}

fn expected_tree(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|&(path, what)| (path.to_string(), what.to_string())).collect()
}

fn usual_tree() -> BTreeMap<String, String> {
    expected_tree(&[
        ("bin", "directory 755"),
        ("bin/uaio", "755"),
        ("include", "directory 755"),
        ("include/libaio.h", "644"),
        ("lib", "directory 755"),
        ("lib/libaio.a", "644"),
        ("lib/libaio.so", "-> libaio.so.1.0.2"),
        ("lib/libaio.so.1", "-> libaio.so.1.0.2"),
        ("lib/libaio.so.1.0.2", "755"),
        ("lib/pkgconfig", "directory 755"),
        ("lib/pkgconfig/libaio.pc", "644"),
    ])
}

/// The same, with the content of files: nothing at all has changed if it is equal.
fn snapshot(root: &Path) -> Outcome<BTreeMap<String, (String, Vec<u8>)>> {
    let entries = tree(root)?.into_iter().map(|(path, what)| {
        let content = fs::read(root.join(&path)).unwrap_or_default();
        (path, (what, content))
    });
    Ok(entries.collect())
}

fn the_tree_is_complete() -> Outcome {
    let scratch = Scratch::new("tree");
    let result =
        ended(install().arg("--prefix").arg(scratch.path().join("p")))?.expect_success()?;
    assert_eq!(tree(&scratch.path().join("p"))?, usual_tree());
    // Every file is reported.
    for (path, what) in usual_tree() {
        let line = match what.strip_prefix("-> ") {
            Some(target) => format!("/p/{path} -> {target}\n"),
            None => format!("/p/{path}\n"),
        };
        let is_directory = what.starts_with("directory");
        expect(result.stdout.contains(&line) != is_directory, &path, &result)?;
    }
    expect(result.stderr.is_empty(), "errors", &result)
}

fn the_files_are_what_was_built() -> Outcome {
    let prefix = installation("files")?;
    let ours = library::ours();
    for (path, origin) in [
        ("lib/libaio.so.1", ours.clone()),
        ("lib/libaio.a", ours.with_file_name("libaio.a")),
        ("include/libaio.h", support::repository("include/libaio.h")),
        ("bin/uaio", env!("CARGO_BIN_EXE_uaio").into()),
    ] {
        assert!(fs::read(prefix.path().join(path))? == fs::read(origin)?, "{path} differs");
    }
    Ok(())
}

fn destdir_is_for_writing_only() -> Outcome {
    let scratch = Scratch::new("destdir");
    for destdir in [scratch.path().join("absolute"), "relative".into()] {
        let mut command = install();
        command.current_dir(scratch.path());
        ended(command.args(["--prefix", "/opt/x", "--destdir"]).arg(&destdir))?.expect_success()?;
        let root = scratch.path().join(&destdir);
        assert_eq!(tree(&root.join("opt/x"))?, usual_tree());
        let config = fs::read_to_string(root.join("opt/x/lib/pkgconfig/libaio.pc"))?;
        assert!(config.contains("prefix=/opt/x\n"), "{config}");
        assert!(!config.contains(&shown(destdir.file_name().unwrap())), "{config}");
    }
    Ok(())
}

fn directories_can_be_chosen() -> Outcome {
    let scratch = Scratch::new("directories");
    let root = scratch.path();
    let mut command = install();
    command.arg("--prefix").arg(root.join("p")).args(["--libdir", "lib64/x"]);
    command.arg("--includedir").arg(root.join("elsewhere"));
    ended(&mut command)?.expect_success()?;
    let tree = tree(root)?;
    for path in ["elsewhere/libaio.h", "p/lib64/x/libaio.so.1.0.2", "p/bin/uaio"] {
        assert!(tree.contains_key(path), "{path}: {tree:?}");
    }
    assert!(!tree.contains_key("p/lib") && !tree.contains_key("p/include"), "{tree:?}");
    let config = fs::read_to_string(root.join("p/lib64/x/pkgconfig/libaio.pc"))?;
    for line in [
        format!("libdir={}\n", shown(root.join("p/lib64/x"))),
        format!("includedir={}\n", shown(root.join("elsewhere"))),
    ] {
        assert!(config.contains(&line), "{line}: {config}");
    }
    Ok(())
}

fn modes_do_not_depend_on_the_umask() -> Outcome {
    let scratch = Scratch::new("umask");
    let mut command = install();
    command.arg("--prefix").arg(scratch.path());
    // SAFETY: umask is a plain system call.
    unsafe {
        command.pre_exec(|| {
            libc::umask(0o077);
            Ok(())
        })
    };
    ended(&mut command)?.expect_success()?;
    assert_eq!(tree(scratch.path())?, usual_tree());
    Ok(())
}

/// A library for the installer to be mistaken about: it has a soname of its own.
fn stand_in(directory: &Path, soname: &str) -> Outcome<PathBuf> {
    let path = directory.join("libaio.so");
    let flag = format!("-Wl,-soname,{soname}");
    c::compile("tests/command/kernel.c", &path, &["-shared", "-fPIC", &flag])?;
    fs::write(directory.join("libaio.a"), "!<arch>\nuaio")?;
    Ok(path)
}

fn the_t64_soname_names_the_files() -> Outcome {
    let scratch = Scratch::new("t64");
    let library = stand_in(scratch.path(), "libaio.so.1t64")?;
    let prefix = scratch.path().join("p");
    ended(install_of(&library).arg("--prefix").arg(&prefix))?.expect_success()?;
    let expected = expected_tree(&[
        ("libaio.a", "644"),
        ("libaio.so", "-> libaio.so.1t64.0.2"),
        ("libaio.so.1t64", "-> libaio.so.1t64.0.2"),
        ("libaio.so.1t64.0.2", "755"),
        ("pkgconfig", "directory 755"),
        ("pkgconfig/libaio.pc", "644"),
    ]);
    assert_eq!(tree(&prefix.join("lib"))?, expected);
    Ok(())
}

fn the_installed_command_finds_its_library() -> Outcome {
    let scratch = Scratch::new("finds");
    for libdir in ["lib", "lib64", "lib/x86_64-linux-gnu"] {
        let prefix = scratch.path().join(libdir.replace('/', "-"));
        ended(install().arg("--prefix").arg(&prefix).args(["--libdir", libdir]))?
            .expect_success()?;
        let mut command = Command::new(prefix.join("bin/uaio"));
        // Where this repository is in a directory whose name has a space, the entry is a link.
        command.args(["run", "sh", "-c", "readlink -f \"$LD_PRELOAD\"; cat /proc/self/maps"]);
        let result = ended(&mut command)?.expect_success()?;
        let file = shown(fs::canonicalize(prefix.join(libdir).join("libaio.so.1.0.2"))?);
        expect(result.stdout.starts_with(&format!("{file}\n")), "not preloaded", &result)?;
        expect(result.stdout.contains(&format!(" {file}\n")), "not loaded", &result)?;
    }
    let result = ended(Command::new(scratch.path().join("lib/bin/uaio")).arg("--version"))?;
    result.expect_success()?;
    // Without the library it says so, and what to do.
    fs::remove_dir_all(scratch.path().join("lib/lib"))?;
    let result = ended(Command::new(scratch.path().join("lib/bin/uaio")).args(["run", "true"]))?;
    expect_error(&result, 2, "--library")
}

/// Words of pkg-config about an installation.
fn pkg_config(prefix: &Path, args: &[&str]) -> Outcome<Vec<String>> {
    let mut command = Command::new(installed("pkg-config")?);
    // These variables would turn a prefix that is not the system's into another one.
    for variable in ["PKG_CONFIG_SYSROOT_DIR", "PKG_CONFIG_PATH"] {
        command.env_remove(variable);
    }
    command.env("PKG_CONFIG_LIBDIR", prefix.join("lib/pkgconfig")).args(args).arg("libaio");
    let words = ended(&mut command)?.expect_success()?.stdout;
    Ok(words.split_whitespace().map(str::to_string).collect())
}

/// Compiles the demonstration against the installation alone.
fn build(prefix: &Path, name: &str, flags: &[String]) -> Outcome<PathBuf> {
    // Away from include/, which has a libaio.h too.
    let path = prefix.join(name);
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-O1", "-o"]).arg(&path);
    command.arg(support::repository("src/bin/uaio/demo/copy.c")).args(flags);
    ended(&mut command)?.expect_success()?;
    Ok(path)
}

/// Runs the demonstration's program; the file in which it found io_submit.
fn copies(program: &Path, libdir: Option<&Path>) -> Outcome<PathBuf> {
    let scratch = Scratch::new("copies");
    let bytes: Vec<u8> =
        (0..1 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(scratch.path().join("source"), &bytes)?;
    let mut command = Command::new(program);
    command.args(["source", "copy"]).current_dir(scratch.path());
    if let Some(libdir) = libdir {
        command.env("LD_LIBRARY_PATH", libdir);
    }
    let result = ended(&mut command)?.expect_success()?;
    assert!(fs::read(scratch.path().join("copy"))? == bytes, "the copy differs");
    let library = result.stdout.lines().find_map(|line| line.strip_prefix("library "));
    match library {
        Some(path) => Ok(path.into()),
        None => fail(result.report()),
    }
}

fn a_program_is_built_through_pkg_config() -> Outcome {
    let prefix = installation("dynamic")?;
    let flags = pkg_config(prefix.path(), &["--cflags", "--libs"])?;
    let program = build(prefix.path(), "program", &flags)?;
    let answered = copies(&program, Some(&prefix.path().join("lib")))?;
    assert_eq!(
        fs::canonicalize(answered)?,
        fs::canonicalize(prefix.path().join("lib/libaio.so.1.0.2"))?
    );
    Ok(())
}

/// The words of `pkg-config --static`, with the archive instead of the shared library.
fn static_flags(prefix: &Path) -> Outcome<Vec<String>> {
    let words = pkg_config(prefix, &["--static", "--cflags", "--libs"])?;
    assert!(words.iter().any(|word| word == "-laio"), "{words:?}");
    let replaced = |word: String| if word == "-laio" { "-l:libaio.a".into() } else { word };
    Ok(words.into_iter().map(replaced).collect())
}

fn a_program_is_linked_to_the_archive() -> Outcome {
    let prefix = installation("archive")?;
    let program = build(prefix.path(), "program", &static_flags(prefix.path())?)?;
    // No libdir: it needs none.
    assert_eq!(fs::canonicalize(copies(&program, None)?)?, fs::canonicalize(&program)?);
    Ok(())
}

fn a_program_is_linked_statically() -> Outcome {
    let prefix = installation("static")?;
    let empty = prefix.path().join("empty.c");
    fs::write(&empty, "int main(void) { return 0; }\n")?;
    let output = prefix.path().join("empty");
    let probe = Command::new("cc").arg("-static").arg(&empty).arg("-o").arg(&output).output()?;
    if !probe.status.success() {
        return skip("the C compiler has no static libc");
    }
    let mut flags = pkg_config(prefix.path(), &["--static", "--cflags", "--libs"])?;
    flags.push("-static".into());
    let program = build(prefix.path(), "program", &flags)?;
    let result = ended(
        Command::new(env!("CARGO_BIN_EXE_uaio"))
            .args(["run", "--library"])
            .args([&library::ours(), &program]),
    )?;
    expect_error(&result, 2, "statically linked")?;
    copies_statically(&program)
}

/// There is no dladdr to ask in a static program: its own file is all that is mapped.
fn copies_statically(program: &Path) -> Outcome {
    let scratch = Scratch::new("copies-statically");
    let bytes = vec![0x5a; 1 << 20];
    fs::write(scratch.path().join("source"), &bytes)?;
    let mut command = Command::new(program);
    let result =
        ended(command.args(["source", "copy"]).current_dir(scratch.path()))?.expect_success()?;
    expect(result.stdout.contains("events "), "no events", &result)?;
    assert!(fs::read(scratch.path().join("copy"))? == bytes, "the copy differs");
    Ok(())
}

fn an_older_installation_is_replaced() -> Outcome {
    let prefix = installation("upgrade")?;
    let expected = snapshot(prefix.path())?;
    // Another version of everything, with other links and modes.
    for (path, what) in usual_tree() {
        let path = prefix.path().join(path);
        if what.starts_with("->") {
            fs::remove_file(&path)?;
            symlink("libaio.so.1.0.1", &path)?;
        } else if !what.starts_with("directory") {
            let mut bytes = fs::read(&path)?;
            bytes.push(b'\n');
            fs::write(&path, bytes)?;
            fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        }
    }
    fs::write(prefix.path().join("lib/libaio.so.1.0.1"), "uaio")?;
    assert!(snapshot(prefix.path())? != expected);
    ended(install().arg("--prefix").arg(prefix.path()))?.expect_success()?;
    fs::remove_file(prefix.path().join("lib/libaio.so.1.0.1"))?;
    assert!(snapshot(prefix.path())? == expected, "{:?}", tree(prefix.path())?);
    Ok(())
}

fn the_installed_command_installs_itself() -> Outcome {
    let prefix = installation("itself")?;
    let before = snapshot(prefix.path())?;
    let mut command = Command::new(prefix.path().join("bin/uaio"));
    ended(command.args(["install", "--prefix"]).arg(prefix.path()))?.expect_success()?;
    assert!(snapshot(prefix.path())? == before);
    let other = Scratch::new("itself-elsewhere");
    let mut command = Command::new(prefix.path().join("bin/uaio"));
    ended(command.args(["install", "--prefix"]).arg(other.path()))?.expect_success()?;
    assert_eq!(tree(other.path())?, usual_tree());
    Ok(())
}

fn bad_arguments_install_nothing() -> Outcome {
    let scratch = Scratch::new("arguments");
    let prefix = shown(scratch.path().join("p"));
    for (args, words) in [
        (vec![], "'--prefix' is missing"),
        (vec!["--prefix"], "'--prefix'"),
        (vec!["--prefix", ""], "empty"),
        (vec!["--prefix", "p"], "'p' is not absolute"),
        (vec!["--prefix", &prefix, "--libdir", "../lib"], "'..'"),
        (vec!["--prefix", &prefix, "--includedir", "a b"], "pkg-config"),
        (vec!["--prefix", &prefix, "--mandir", "man"], "'--mandir'"),
        (vec!["--prefix", &prefix, "more"], "more"),
        (vec!["--prefix", &prefix, "--library", "/nonexistent"], "'/nonexistent'"),
        (vec!["--prefix", &prefix, "--library", "/bin/sh"], "no libaio.so.1"),
    ] {
        let mut command = install();
        expect_error(&ended(command.args(&args).current_dir(scratch.path()))?, 2, words)?;
        assert_eq!(tree(scratch.path())?, BTreeMap::new(), "{args:?}");
    }
    Ok(())
}

fn what_is_in_the_way_is_left_alone() -> Outcome {
    for (path, words) in [
        ("lib/libaio.a/directory", "not a file"),
        ("lib/libaio.so/directory", "not a file"),
        ("bin/uaio/directory", "not a file"),
        ("lib/pkgconfig", "is not a directory"),
        ("include", "is not a directory"),
    ] {
        let scratch = Scratch::new("in-the-way");
        let obstacle = scratch.path().join(path);
        fs::create_dir_all(obstacle.parent().unwrap())?;
        if path.ends_with("directory") {
            fs::create_dir(&obstacle)?;
        } else {
            fs::write(&obstacle, "uaio")?;
        }
        let before = snapshot(scratch.path())?;
        expect_error(&ended(install().arg("--prefix").arg(scratch.path()))?, 2, words)?;
        assert!(snapshot(scratch.path())? == before, "{path}");
    }
    Ok(())
}

fn files_of_others_are_not_replaced() -> Outcome {
    for path in
        usual_tree().into_keys().filter(|path| path.contains("libaio") || path == "bin/uaio")
    {
        let scratch = Scratch::new("others");
        let file = scratch.path().join(&path);
        fs::create_dir_all(file.parent().unwrap())?;
        fs::write(&file, "Somebody else's.\n")?;
        let before = snapshot(scratch.path())?;
        let result = ended(install().arg("--prefix").arg(scratch.path()))?;
        expect_error(&result, 2, "is not from uaio")?;
        expect(result.stderr.contains(&shown(&file)), "the file is not named", &result)?;
        assert!(snapshot(scratch.path())? == before, "{path}");
    }
    // A link that another library is behind.
    let scratch = Scratch::new("others");
    let system = library::system()?;
    fs::create_dir(scratch.path().join("lib"))?;
    symlink(&system, scratch.path().join("lib/libaio.so.1"))?;
    let before = snapshot(scratch.path())?;
    let result = ended(install().arg("--prefix").arg(scratch.path()))?;
    expect_error(&result, 2, "is not from uaio")?;
    assert!(snapshot(scratch.path())? == before);
    Ok(())
}

fn a_missing_archive_installs_nothing() -> Outcome {
    let scratch = Scratch::new("archiveless");
    let library = stand_in(scratch.path(), "libaio.so.1")?;
    fs::remove_file(scratch.path().join("libaio.a"))?;
    let prefix = scratch.path().join("p");
    let result = ended(install_of(&library).arg("--prefix").arg(&prefix))?;
    expect_error(&result, 2, "libaio.a")?;
    assert!(!prefix.exists());
    Ok(())
}

/// Files of this command can have `bytes` at most.
fn limit_files(command: &mut Command, bytes: u64) {
    // SAFETY: setrlimit is a plain system call.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            match libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    };
}

/// A limit that the library passes and a larger file does not.
fn limit_between() -> Outcome<u64> {
    let library = fs::metadata(library::ours())?.len();
    let archive = fs::metadata(library::ours().with_file_name("libaio.a"))?.len();
    assert!(library < archive, "the limit stops the first file: {library}, {archive}");
    Ok(archive - 1)
}

fn a_full_disk_installs_nothing() -> Outcome {
    for limit in [4096, limit_between()?] {
        let scratch = Scratch::new("full");
        let mut command = install();
        command.arg("--prefix").arg(scratch.path().join("a/b"));
        limit_files(&mut command, limit);
        expect_error(&ended(&mut command)?, 1, "File too large")?;
        assert_eq!(tree(scratch.path())?, BTreeMap::new());
    }
    Ok(())
}

fn a_failing_upgrade_changes_nothing() -> Outcome {
    let prefix = installation("failing-upgrade")?;
    let before = snapshot(prefix.path())?;
    let mut command = install();
    command.arg("--prefix").arg(prefix.path());
    limit_files(&mut command, limit_between()?);
    expect_error(&ended(&mut command)?, 1, "File too large")?;
    assert!(snapshot(prefix.path())? == before, "{:?}", tree(prefix.path())?);
    Ok(())
}

fn a_list_that_cannot_be_printed_is_no_failure() -> Outcome {
    let scratch = Scratch::new("unlisted");
    let full = File::options().write(true).open("/dev/full")?;
    let output = install().arg("--prefix").arg(scratch.path()).stdout(full).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("everything is installed, but not listed"), "{stderr}");
    assert!(stderr.contains("No space left"), "{stderr}");
    assert_eq!(tree(scratch.path())?, usual_tree());
    Ok(())
}

fn an_unwritable_prefix_is_refused() -> Outcome {
    // Root may write everywhere, as far as access() can tell, but not make a directory there.
    for prefix in ["/proc/uaio", "/sys/uaio"] {
        let result = ended(install().args(["--prefix", prefix]))?;
        expect_error(&result, 2, "cannot be written to")?;
        let parent = format!("'{}'", shown(Path::new(prefix).parent().unwrap()));
        expect(result.stderr.contains(&parent), "the directory is not named", &result)?;
    }
    // SAFETY: only returns a number.
    if unsafe { libc::geteuid() } == 0 {
        return Ok(());
    }
    let scratch = Scratch::new("unwritable");
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o555))?;
    let result = ended(install().arg("--prefix").arg(scratch.path().join("p")))?;
    expect_error(&result, 2, "Permission denied")
}
