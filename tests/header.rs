//! `include/libaio.h`: its text, its layout on every kind of machine, and the compilers.
//!
//! What needs a compiler or a library that is not installed is skipped with its reason and counted
//! as ignored; `UAIO_REQUIRE_ALL=1` turns such a skip into a failure.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "header/bindings.rs"]
mod bindings;
#[path = "header/compiler.rs"]
mod compiler;
#[path = "header/generate.rs"]
mod generate;
#[path = "header/layout.rs"]
mod layout;
#[path = "header/stock.rs"]
mod stock;

use std::path::{Path, PathBuf};
use std::{env, fs};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use compiler::Compiler;

/// Why a test did not pass.
pub enum Outcome {
    /// Something that it needs is not on this machine.
    Skipped(String),
    /// With what went wrong.
    Failed(String),
}

impl From<String> for Outcome {
    fn from(message: String) -> Outcome {
        Outcome::Failed(message)
    }
}

const C_STANDARDS: [&str; 4] = ["c99", "c11", "c17", "c2x"];
const CXX_STANDARDS: [&str; 4] = ["c++11", "c++14", "c++17", "c++20"];

/// Targets for clang, which needs no more than itself for all of them, and the layout of each.
const TARGETS: [(&str, &str); 19] = [
    ("x86_64-linux-gnu", "le64"),
    ("aarch64-linux-gnu", "le64"),
    ("powerpc64le-linux-gnu", "le64"),
    ("riscv64-linux-gnu", "le64"),
    ("mips64el-linux-gnuabi64", "le64"),
    ("i386-linux-gnu", "le32"),
    ("x86_64-linux-gnux32", "le32"),
    ("arm-linux-gnueabihf", "le32"),
    ("mipsel-linux-gnu", "le32"),
    ("mips64el-linux-gnuabin32", "le32"),
    ("riscv32-linux-gnu", "le32"),
    ("aarch64_be-linux-gnu", "be64"),
    ("powerpc64-linux-gnu", "be64"),
    ("s390x-linux-gnu", "be64"),
    ("sparc64-linux-gnu", "be64"),
    ("armeb-linux-gnueabi", "be32"),
    ("powerpc-linux-gnu", "be32"),
    ("mips-linux-gnu", "be32"),
    ("sparc-linux-gnu", "be32"),
];

/// Debian's cross compilers: a second opinion, and the kernel's headers for another architecture.
const CROSS_COMPILERS: [(&str, &str); 4] = [
    ("aarch64-linux-gnu-gcc", "le64"),
    ("i686-linux-gnu-gcc", "le32"),
    ("s390x-linux-gnu-gcc", "be64"),
    ("powerpc-linux-gnu-gcc", "be32"),
];

fn main() {
    let mut trials = vec![
        trial("text_is_current", text_is_current),
        trial("layout_is_that_of_the_kernel_and_of_rust", || layout::compiled(&Compiler::host()?)),
        trial("layout_as_bindgen_reads_it_is_that_of_rust", bindings::compare),
    ];
    for program in ["gcc", "clang"] {
        trials.extend(C_STANDARDS.map(|standard| {
            trial(format!("helpers::{program}::{standard}"), move || {
                helpers(program, "c", standard)
            })
        }));
    }
    for program in ["g++", "clang++"] {
        trials.extend(CXX_STANDARDS.map(|standard| {
            let name = format!("helpers::{program}::{standard}");
            trial(name, move || helpers(program, "c++", standard))
        }));
    }
    for (target, abi) in TARGETS {
        trials.push(trial(format!("layout::clang::{target}"), move || {
            layout::asserted(&Compiler::named("clang")?, &[&format!("--target={target}")], abi)
        }));
        trials.push(trial(format!("declarations_of_libaio::{target}"), move || {
            stock::declarations(target)
        }));
        trials.push(trial(format!("macros_of_libaio::{target}"), move || stock::macros(target)));
    }
    for (program, abi) in CROSS_COMPILERS {
        trials.push(trial(format!("layout::{program}"), move || {
            layout::asserted(&Compiler::named(program)?, &[], abi)
        }));
        trials.push(trial(format!("kernel_header::{program}"), move || {
            layout::beside_the_kernel(&Compiler::named(program)?)
        }));
        trials.push(trial(format!("uses_of_libaio::{program}"), move || stock::uses(program)));
    }
    for program in ["gcc", "clang"] {
        trials.push(trial(format!("uses_of_libaio::{program}"), move || stock::uses(program)));
    }
    #[cfg(target_arch = "x86_64")]
    for option in ["-m64", "-m32", "-mx32"] {
        let abi = if option == "-m64" { "le64" } else { "le32" };
        trials.push(trial(format!("layout::gcc::{option}"), move || {
            layout::asserted(&Compiler::named("gcc")?, &[option], abi)
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(
    name: impl Into<String>,
    test: impl FnOnce() -> Result<(), Outcome> + Send + 'static,
) -> Trial {
    Trial::ignorable_test(name, || match test() {
        Ok(()) => Ok(Completion::Completed),
        Err(Outcome::Failed(message)) => Err(Failed::from(message)),
        Err(Outcome::Skipped(reason)) if is_set("UAIO_REQUIRE_ALL") => {
            Err(Failed::from(format!("skipped, but UAIO_REQUIRE_ALL=1: {reason}")))
        }
        Err(Outcome::Skipped(reason)) => Ok(Completion::ignored_with(reason)),
    })
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| value == "1")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The directory of the C files that the tests compile.
fn sources() -> PathBuf {
    root().join("tests/header")
}

/// A directory of the caller's own for what it makes.
fn scratch(name: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("header").join(name);
    fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn text_is_current() -> Result<(), Outcome> {
    let path = root().join("include/libaio.h");
    let generated = generate::header(root(), &scratch("text")?)?;
    if is_set("UAIO_BLESS") {
        fs::write(&path, generated).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(());
    }
    let present =
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if present == generated {
        return Ok(());
    }
    let same = present.lines().zip(generated.lines()).take_while(|(old, new)| old == new).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end of file)").to_owned();
    Err(Outcome::Failed(format!(
        "include/libaio.h is not what its sources say; to write it again:\n    \
         UAIO_BLESS=1 cargo test --test header text_is_current\n\
         line {}:\n  is:        {}\n  should be: {}",
        same + 1,
        line(&present),
        line(&generated),
    )))
}

/// Compiles the header with all its helpers, without a warning, and runs them.
fn helpers(program: &'static str, language: &str, standard: &str) -> Result<(), Outcome> {
    let compiler = Compiler::named(program)?;
    let standard = format!("-std={standard}");
    let options = ["-x", language, &standard];
    compiler.knows(&options)?;
    let helpers = scratch(&format!("{program}{standard}"))?.join("helpers");
    let mut command = compiler.strict();
    command.args(options).arg(sources().join("helpers.c")).arg("-o").arg(&helpers);
    compiler::output(&mut command)?;
    compiler::output(&mut std::process::Command::new(helpers))?;
    Ok(())
}
