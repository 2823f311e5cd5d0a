//! The header of libaio itself beside ours: what a program can learn of one is the same in the other.
//!
//! libaio's is looked for in `target/stock`, where `.ci/run` unpacks it, then where the package
//! `libaio-dev` installs it.
//!
//! Two ways, since neither sees everything: bindgen lists every declaration, whether we know of it or
//! not, for any target; `uses.c` asks the compilers for types, and calls the helpers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compiler::{self, Compiler};
use crate::{Outcome, bindings, root, scratch, sources};

/// What ours declares beyond libaio's: a function that libaio exports and describes in a manual page,
/// but forgot; and what our helpers are made of.
const ADDED: [&str; 2] = ["io_queue_wait", "__io_prep"];

/// What says in ours that it is ours: `uaio install` puts it where libaio's would be.
const MARK: &str = "SPDX-License-Identifier: MIT OR Apache-2.0";

/// Runs what a target's compiler makes, where the processor cannot.
const EMULATORS: [(&str, &str); 4] = [
    ("aarch64", "qemu-aarch64"),
    ("i686", "qemu-i386"),
    ("powerpc", "qemu-ppc"),
    ("s390x", "qemu-s390x"),
];

/// Directories in which only `libaio.h` is: libaio's, and ours.
struct Headers {
    stock: PathBuf,
    ours: PathBuf,
}

impl Headers {
    /// For the test of this name.
    fn find(test: &str) -> Result<Headers, Outcome> {
        let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../stock/usr/include/libaio.h");
        let installed = PathBuf::from("/usr/include/libaio.h");
        let path = if unpacked.exists() { unpacked } else { installed };
        let text = fs::read_to_string(&path)
            .map_err(|error| Outcome::Skipped(format!("{}: {error}", path.display())))?;
        if text.contains(MARK) {
            return Err(Outcome::Skipped(format!("{} is ours", path.display())));
        }
        // A directory of its own, so that nothing else of libaio's root is found there.
        let stock = scratch(test)?.join("include");
        fs::create_dir_all(&stock).map_err(|error| format!("{}: {error}", stock.display()))?;
        fs::write(stock.join("libaio.h"), text)
            .map_err(|error| format!("{}: {error}", stock.display()))?;
        Ok(Headers { stock, ours: root().join("include") })
    }
}

/// Every type, member, enumerator, constant and function, with its type, on one target.
pub fn declarations(target: &str) -> Result<(), Outcome> {
    let headers = Headers::find(&format!("declarations-{target}"))?;
    let stock = bindings::declarations(&headers.stock.join("libaio.h"), target)?;
    let ours = bindings::declarations(&headers.ours.join("libaio.h"), target)?;
    if stock.len() < 40 {
        return Err(Outcome::Failed(format!(
            "libaio's header has but {} declarations",
            stock.len()
        )));
    }
    let is_added = |text: &&String| ADDED.iter().any(|name| text.contains(&format!("fn {name}(")));
    let ours: BTreeSet<String> = ours.iter().filter(|text| !is_added(text)).cloned().collect();
    Ok(same(&stock, &ours)?)
}

/// Every macro that is defined behind the header, on one target.
pub fn macros(target: &str) -> Result<(), Outcome> {
    let headers = Headers::find(&format!("macros-{target}"))?;
    let clang = Compiler::named("clang")?;
    let target = format!("--target={target}");
    clang.knows(&[&target])?;
    let defined = |directory: &Path| -> Result<BTreeSet<String>, String> {
        let mut command = clang.bare();
        command.args([&target, "-x", "c", "-E", "-dM", "-ffreestanding", "-nostdinc", "-isystem"]);
        command.arg(sources().join("stubs")).arg(directory.join("libaio.h"));
        Ok(compiler::output(&mut command)?.lines().map(str::to_owned).collect())
    };
    let (stock, ours) = (defined(&headers.stock)?, defined(&headers.ours)?);
    if !stock.contains("#define __LIBAIO_H ") {
        return Err(Outcome::Failed("libaio's header defines no guard".to_owned()));
    }
    Ok(same(&stock, &ours)?)
}

/// What `uses.c` prints, made by `program` and run on its machine or in place of it.
pub fn uses(program: &str) -> Result<(), Outcome> {
    let test = format!("uses-{program}");
    let headers = Headers::find(&test)?;
    let compiler = Compiler::named(program)?;
    let directory = scratch(&test)?;
    let printed = |name: &str, include: &Path| -> Result<Vec<String>, Outcome> {
        let binary = directory.join(name);
        let mut command = compiler.bare();
        command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-static"]);
        // Addresses are made up.
        command.args(["-Wno-int-to-pointer-cast", "-Wno-incompatible-pointer-types"]);
        command.arg("-I").arg(include).arg(sources().join("uses.c")).arg("-o").arg(&binary);
        compiler::output(&mut command)?;
        Ok(compiler::output(&mut run(program, &binary)?)?.lines().map(str::to_owned).collect())
    };
    let stock = printed("stock", &headers.stock)?;
    let ours = printed("ours", &headers.ours)?;
    if stock.len() < 100 {
        return Err(Outcome::Failed(format!("uses.c printed but {} lines", stock.len())));
    }
    Ok(same(&stock.into_iter().collect(), &ours.into_iter().collect())?)
}

fn run(compiler: &str, binary: &Path) -> Result<Command, Outcome> {
    let Some((_, emulator)) = EMULATORS.iter().find(|(target, _)| compiler.starts_with(target))
    else {
        return Ok(Command::new(binary));
    };
    let mut version = Command::new(emulator);
    compiler::output(version.arg("--version"))
        .map_err(|_| Outcome::Skipped(format!("{emulator} is not installed")))?;
    let mut command = Command::new(emulator);
    command.arg(binary);
    Ok(command)
}

fn same(stock: &BTreeSet<String>, ours: &BTreeSet<String>) -> Result<(), String> {
    let missing = stock.difference(ours).map(|text| format!("only libaio's: {text}\n"));
    let added = ours.difference(stock).map(|text| format!("only ours:     {text}\n"));
    let text: String = missing.chain(added).collect();
    if text.is_empty() { Ok(()) } else { Err(text) }
}
