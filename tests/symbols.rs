//! What the library shows to the linker and the loader, to the last symbol.

mod support;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::process::{Command, ExitCode};
use std::time::Duration;

use libtest_mimic::Arguments;
use object::elf::DF_1_NODELETE;
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};
use support::elf::SharedLibrary;
use support::scratch::Scratch;
use support::{Outcome, c, command, fail, installed, library, repository, shown, trial};

const LIMIT: Duration = Duration::from_secs(60);

/// The functions of libaio 0.3.113: `@@` is what programs are linked to today, `@` is what only
/// those linked long ago find.
const VERSIONED: [&str; 13] = [
    "io_cancel@@LIBAIO_0.4",
    "io_cancel@LIBAIO_0.1",
    "io_destroy@@LIBAIO_0.4",
    "io_getevents@@LIBAIO_0.4",
    "io_getevents@LIBAIO_0.1",
    "io_pgetevents@@LIBAIO_0.5",
    "io_queue_init@@LIBAIO_0.1",
    "io_queue_release@@LIBAIO_0.1",
    "io_queue_run@@LIBAIO_0.1",
    "io_queue_wait@@LIBAIO_0.4",
    "io_queue_wait@LIBAIO_0.1",
    "io_setup@@LIBAIO_0.4",
    "io_submit@@LIBAIO_0.1",
];

/// Each version and the one it inherits.
const VERSIONS: [&[&str]; 3] =
    [&["LIBAIO_0.1"], &["LIBAIO_0.4", "LIBAIO_0.1"], &["LIBAIO_0.5", "LIBAIO_0.4"]];

/// GNU ld writes a symbol for each version, lld does not; nor does lld write what is inherited,
/// which no loader reads.
const VERSION_NAMES: [&str; 3] =
    ["LIBAIO_0.1@@LIBAIO_0.1", "LIBAIO_0.4@@LIBAIO_0.4", "LIBAIO_0.5@@LIBAIO_0.5"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("exports_are_the_13_functions_and_syscall", exports),
        trial("exports_are_those_of_the_systems_libaio", exports_of_the_system),
        trial("versions_are_those_of_libaio", versions),
        trial("dynamic_section_names_and_keeps_the_library", dynamic_section),
        trial("loading_runs_no_code_of_ours", constructors),
        trial("archives_do_not_define_syscall", archives),
        trial("gnu_ld_relinks_the_archive_with_all_versions", relinked),
        trial("feature_soname_t64_changes_the_soname", soname_t64),
        trial("preloaded_program_of_stock_libaio_finds_our_symbols", || finds_ours(Place::Preload)),
        trial("installed_library_serves_program_of_stock_libaio", || finds_ours(Place::Directory)),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn set<'a>(names: impl IntoIterator<Item = &'a &'a str>) -> BTreeSet<String> {
    names.into_iter().map(|name| name.to_string()).collect()
}

/// Fails with what is too much and what is missing.
fn same(found: &BTreeSet<String>, expected: &BTreeSet<String>) -> Outcome {
    if found == expected {
        return Ok(());
    }
    let more: Vec<_> = found.difference(expected).collect();
    let less: Vec<_> = expected.difference(found).collect();
    fail(format!("too much: {more:?}, missing: {less:?}"))
}

fn exports() -> Outcome {
    let ours = SharedLibrary::read(&library::ours())?;
    same(&ours.exports, &set(VERSIONED.iter().chain(&["syscall"])))?;
    assert_eq!(ours.odd_exports, [""; 0]);
    Ok(())
}

fn exports_of_the_system() -> Outcome {
    let system = SharedLibrary::read(&library::system()?)?;
    let ours = SharedLibrary::read(&library::ours())?;
    let mut expected = set(&["syscall"]);
    expected.extend(system.exports.into_iter().filter(|name| !name.starts_with("LIBAIO_")));
    same(&ours.exports, &expected)?;
    assert_eq!(system.versions, VERSIONS, "this test's own list is wrong");
    Ok(())
}

fn versions() -> Outcome {
    let names = VERSIONS.map(|version| version[0]);
    assert_eq!(SharedLibrary::read(&library::ours())?.version_names(), names);
    Ok(())
}

fn dynamic_section() -> Outcome {
    let ours = SharedLibrary::read(&library::ours())?;
    assert_eq!(ours.soname.as_deref(), Some("libaio.so.1"));
    assert_ne!(ours.flags_1 & DF_1_NODELETE.0, 0, "dlclose would unmap it");
    for needed in &ours.needed {
        let known = needed == "libc.so.6" || needed == "libgcc_s.so.1" || needed.starts_with("ld-");
        assert!(known, "needs {needed}, of all of {:?}", ours.needed);
    }
    Ok(())
}

fn constructors() -> Outcome {
    // The start-up code of the C compiler, and the one of Rust's std, which keeps argc and argv.
    let harmless = |name: &str| name == "frame_dummy" || name.contains("ARGV_INIT_ARRAY");
    let ours = SharedLibrary::read(&library::ours())?;
    let strange: Vec<_> = ours.constructors.iter().filter(|name| !harmless(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
    assert!(!ours.constructors.is_empty(), "std has one, so it must have been found");
    Ok(())
}

/// Programs linked to an archive that defined `syscall` would have two, or ours instead of libc's.
fn archives() -> Outcome {
    for name in ["libaio.a", "libaio.rlib"] {
        let path = library::ours().with_file_name(name);
        let content = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut defined = 0;
        for member in ArchiveFile::parse(&*content)?.members() {
            // The rlib holds metadata as well.
            let Ok(object) = object::File::parse(member?.data(&*content)?) else {
                continue;
            };
            for symbol in object.symbols().filter(|symbol| symbol.is_definition()) {
                defined += 1;
                assert_ne!(symbol.name()?, "syscall", "in {name}");
            }
        }
        assert!(defined > 0, "no symbols found in {name}");
    }
    Ok(())
}

fn relinked() -> Outcome {
    installed("ld.bfd")?;
    let directory = Scratch::new("relinked");
    let output = directory.path().join("libaio.so.1.0.2");
    let mut relink = Command::new("cc");
    relink
        .args(["-shared", "-fuse-ld=bfd", "-Wl,-z,nodelete", "-Wl,-soname,libaio.so.1"])
        .arg(format!("-Wl,--version-script={}", repository("src/abi/libaio.map").display()))
        .arg("-Wl,--whole-archive")
        .arg(library::ours().with_file_name("libaio.a"))
        .args(["-Wl,--no-whole-archive", "-o"])
        .arg(&output);
    command::run(&mut relink, LIMIT)?.expect_success()?;
    let relinked = SharedLibrary::read(&output)?;
    same(&relinked.exports, &set(VERSIONED.iter().chain(&VERSION_NAMES)))?;
    assert_eq!(relinked.odd_exports, [""; 0]);
    assert_eq!(relinked.versions, VERSIONS);
    assert_eq!(relinked.soname.as_deref(), Some("libaio.so.1"));
    Ok(())
}

fn soname_t64() -> Outcome {
    let target = Scratch::new("t64");
    let mut build = Command::new(env!("CARGO"));
    build
        .args(["build", "--quiet", "--offline", "--lib", "--features", "soname-t64"])
        .arg("--manifest-path")
        .arg(repository("Cargo.toml"))
        .arg("--target-dir")
        .arg(target.path())
        // Those that cargo set for this test are not meant for another build.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET");
    command::run(&mut build, 5 * LIMIT)?.expect_success()?;
    let built = SharedLibrary::read(&target.path().join("debug/libaio.so"))?;
    assert_eq!(built.soname.as_deref(), Some("libaio.so.1t64"));
    same(&built.exports, &set(VERSIONED.iter().chain(&["syscall"])))
}

enum Place {
    Preload,
    Directory,
}

/// A program linked to the stock library must be served by ours in every version.
fn finds_ours(place: Place) -> Outcome {
    let directory = Scratch::new("finds");
    let program = directory.path().join("whose");
    let stock = library::system()?;
    c::compile("c-tests/tools/whose.c", &program, &[&shown(stock), "-ldl"])?;
    let ours = fs::canonicalize(library::ours())?;
    let stage = library::staged(&ours)?;

    let mut whose = Command::new(&program);
    match place {
        Place::Preload => whose.env("LD_PRELOAD", stage.path().join("libaio.so.1")),
        Place::Directory => whose.env_remove("LD_PRELOAD").env("LD_LIBRARY_PATH", stage.path()),
    };
    let answer = command::run(&mut whose, LIMIT)?.expect_success()?.stdout;
    let mut symbols = 0;
    for line in answer.lines() {
        let (symbol, file) = line.split_once(' ').unwrap_or((line, ""));
        let file = fs::canonicalize(file).unwrap_or_default();
        assert_eq!(file, ours, "{symbol} was found elsewhere, of\n{answer}");
        symbols += 1;
    }
    assert_eq!(symbols, VERSIONED.len() + 1, "{answer}");

    // The control: without our library, the same program finds the stock one and libc.
    let answer = command::run(&mut Command::new(&program), LIMIT)?.expect_success()?.stdout;
    assert!(!answer.contains(&shown(ours)), "{answer}");
    Ok(())
}
