//! The witness in front of a libaio, and what it reports. See `tests/witness/lib/witness.h`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::{Outcome, c, fail, repository, scratch, shown, skip};

const SOURCES: [&str; 9] =
    ["calls", "eventfds", "ledger", "lock", "raw", "real", "report", "ring", "strict"];

/// The preload library, compiled once in each run of a harness.
pub fn library() -> Outcome<&'static Path> {
    static BUILT: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        if !cfg!(target_arch = "x86_64") {
            return skip("the witness stands in front of syscall() on x86-64 only");
        }
        let directory = repository("tests/witness/lib");
        let output = scratch::lasting("witness").join("witness.so");
        let map = directory.join("witness.map");
        let mut flags = vec!["-shared".to_string(), "-fPIC".into(), "-fvisibility=hidden".into()];
        flags.push(format!("-Wl,--version-script={}", shown(map)));
        flags.extend(SOURCES[1..].iter().map(|name| shown(directory.join(format!("{name}.c")))));
        flags.push("-ldl".into());
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        c::compile(&format!("tests/witness/lib/{}.c", SOURCES[0]), &output, &flags)
    });
    BUILT.as_ref().map(PathBuf::as_path).map_err(Clone::clone)
}

/// The value of LD_PRELOAD: the witness, and behind it another library, if it is not the one that
/// the program has.
pub fn preload(behind: Option<&Path>) -> Outcome<OsString> {
    let mut value = OsString::from(library()?);
    if let Some(behind) = behind {
        value.push(":");
        value.push(behind);
    }
    Ok(value)
}

/// Where the processes of one run report to.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
}

/// The counts of one process, or of several together.
#[derive(Debug, Default)]
pub struct Counts {
    /// Processes that have made a context.
    pub processes: usize,
    counts: BTreeMap<String, u64>,
}

impl Counts {
    /// One count of the verdict.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }
}

impl Report {
    /// An empty one in a directory.
    pub fn new(directory: &Path) -> Self {
        let path = directory.join("witness.report");
        let _ = fs::remove_file(&path);
        Report { path }
    }

    /// The assignment that tells a process where to report to.
    pub fn variable(&self) -> OsString {
        let mut assignment = OsString::from("WITNESS_REPORT=");
        assignment.push(&self.path);
        assignment
    }

    /// Tells a command where to report to.
    pub fn apply(&self, command: &mut Command) {
        command.env("WITNESS_REPORT", &self.path);
    }

    /// All that has been reported.
    pub fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// All that has been reported since it was taken the last time.
    pub fn take(&self) -> String {
        let text = self.text();
        let _ = fs::remove_file(&self.path);
        text
    }

    /// Fails if there was a violation, or a process that has begun and not come to its end.
    pub fn expect_clean(&self) -> Outcome<Counts> {
        let text = self.text();
        let mut sum = Counts::default();
        let mut ended = 0;
        for line in text.lines() {
            let Some((_, what)) = line.strip_prefix("witness ").and_then(|l| l.split_once(": "))
            else {
                return fail(format!("not a line of the witness: {line}"));
            };
            match what.split_once(' ').unwrap_or((what, "")) {
                ("began", _) => sum.processes += 1,
                ("ok", counts) => {
                    ended += 1;
                    for (name, value) in counts.split(' ').filter_map(|c| c.split_once('=')) {
                        *sum.counts.entry(name.to_string()).or_default() += value.parse::<u64>()?;
                    }
                }
                _ => return fail(format!("the witness has found something\n{text}")),
            }
        }
        if sum.processes != ended {
            return fail(format!("{} began and {ended} ended\n{text}", sum.processes));
        }
        Ok(sum)
    }
}
