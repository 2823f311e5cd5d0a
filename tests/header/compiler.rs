//! Finding compilers and running them.

use std::process::{Command, Stdio};

use crate::{Outcome, root};

/// Clang's programs have a version in their names where they come without the `clang` package.
const CLANG_VERSIONS: std::ops::RangeInclusive<u32> = 13..=24;

/// A C or C++ compiler that is installed.
pub struct Compiler {
    program: String,
}

impl Compiler {
    /// The compiler that everyone who can link Rust programs has.
    pub fn host() -> Result<Compiler, Outcome> {
        Compiler::named("cc")
    }

    /// Finds `program`.
    pub fn named(program: &str) -> Result<Compiler, Outcome> {
        let mut names = vec![program.to_owned()];
        if program.starts_with("clang") {
            names.extend(CLANG_VERSIONS.rev().map(|version| format!("{program}-{version}")));
        }
        names
            .into_iter()
            .find(|name| {
                let mut version = Command::new(name);
                version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
                version.status().is_ok_and(|status| status.success())
            })
            .map(|program| Compiler { program })
            .ok_or_else(|| Outcome::Skipped(format!("{program} is not installed")))
    }

    /// Skips where the compiler is too old for `options` or was built without them.
    pub fn knows(&self, options: &[&str]) -> Result<(), Outcome> {
        let mut command = Command::new(&self.program);
        command.args(options);
        if !options.contains(&"-x") {
            command.args(["-x", "c"]);
        }
        command.args(["-fsyntax-only", "/dev/null"]);
        output(&mut command).map(|_| ()).map_err(|_| {
            Outcome::Skipped(format!("{} does not know {}", self.program, options.join(" ")))
        })
    }

    /// The compiler alone.
    pub fn bare(&self) -> Command {
        Command::new(&self.program)
    }

    /// The compiler with the header's directory and every warning an error.
    pub fn strict(&self) -> Command {
        let mut command = self.bare();
        command.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        command.arg("-I").arg(root().join("include"));
        command
    }
}

/// Runs `command` to its end and returns what it printed; failure brings all of it.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}\n{text}{errors}", output.status))
}
