//! C and C++ programs of this repository, compiled as warning-free code with the header of
//! `include/`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::command;
use super::{Outcome, repository, skip};

/// Compiles one source file to `output`. `flags` come last, so that libraries can be among them.
pub fn compile(source: &str, output: &Path, flags: &[&str]) -> Outcome<PathBuf> {
    let cpp = source.ends_with(".cc");
    let mut command = compiler(cpp)?;
    command
        .args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread"])
        .arg(if cpp { "-std=c++11" } else { "-std=gnu11" })
        .arg("-I")
        .arg(repository("include"))
        .arg(repository(source))
        .arg("-o")
        .arg(output)
        .args(flags);
    command::run(&mut command, Duration::from_secs(60))?.expect_success()?;
    Ok(output.to_path_buf())
}

/// The compiler for this machine, as cargo's build scripts would choose it.
fn compiler(cpp: bool) -> Outcome<Command> {
    let machine = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let tool = cc::Build::new()
        .target(&machine)
        .host(&machine)
        .opt_level(0)
        .cargo_metadata(false)
        .no_default_flags(true)
        .warnings(false)
        .cpp(cpp)
        .try_get_compiler()?;
    let found = Command::new(tool.path()).arg("--version").output().is_ok();
    if !found && cpp {
        return skip(format!("no C++ compiler: {}", tool.path().display()));
    }
    // Its own to_command() clears the environment and sets each variable again: unreadable in the
    // message of a failure.
    let mut command = Command::new(tool.path());
    command.args(tool.args());
    Ok(command)
}
