//! The machine, the settings and the sides of a run, for whoever reads its figures later.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::subjects::{Engine, Subject, VARIABLE};
use super::workspace;

/// The machine.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// `uname -r`.
    pub kernel: String,
    /// The instruction set.
    pub arch: String,
    /// Processors that we may use.
    pub cpus: usize,
    /// The load average of the last minute, before and after.
    pub load: [f64; 2],
    /// Seconds since 1970 at the beginning.
    pub time: u64,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub struct Settings {
    /// Whether it had to end in a minute.
    pub quick: bool,
    /// Rounds of each workload.
    pub pairs: usize,
    /// Seconds of each measurement; fewer where the minute was short.
    pub seconds: f64,
    /// Where the data file was.
    pub place: PathBuf,
    /// The type of that file system, or those of the file systems that were made for the run.
    pub file_system: String,
    /// The file systems that could not be made, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Bytes of the data file.
    pub data_bytes: u64,
}

/// One side.
#[derive(Debug, Serialize)]
pub struct SubjectFacts {
    /// Its name.
    pub name: String,
    /// The libaio.
    pub library: PathBuf,
    /// The variables that chose the engine.
    pub environment: BTreeMap<String, String>,
}

/// The machine, before the measurements.
pub fn machine() -> Machine {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_string();
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    Machine {
        kernel: read("/proc/sys/kernel/osrelease"),
        arch: std::env::consts::ARCH.to_string(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        load: [load(), 0.0],
        time: time.map_or(0, |time| time.as_secs()),
    }
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// The name of the file system at `path`, or its number.
pub fn file_system(path: &Path) -> String {
    match workspace::file_system(path).map(|(_, kind)| kind) {
        Ok(libc::EXT4_SUPER_MAGIC) => "ext4".to_string(),
        Ok(libc::XFS_SUPER_MAGIC) => "xfs".to_string(),
        Ok(libc::BTRFS_SUPER_MAGIC) => "btrfs".to_string(),
        Ok(libc::TMPFS_MAGIC) => "tmpfs".to_string(),
        Ok(libc::OVERLAYFS_SUPER_MAGIC) => "overlayfs".to_string(),
        Ok(libc::NFS_SUPER_MAGIC) => "nfs".to_string(),
        Ok(kind) => format!("{kind:#x}"),
        Err(error) => crate::failure::reason(&error),
    }
}

/// One side, as it will be measured.
pub fn subject(subject: &Subject) -> SubjectFacts {
    SubjectFacts {
        name: subject.name.to_string(),
        library: subject.library.clone(),
        environment: (subject.engine.and_then(Engine::value).into_iter())
            .map(|value| (VARIABLE.to_string(), value.to_string()))
            .chain(other_variables())
            .collect(),
    }
}

/// Variables of the library that the user has set, and that the workers inherit.
fn other_variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let all = std::env::vars_os().map(move |(name, value)| (text(name), text(value)));
    all.filter(|(name, _)| name.starts_with("UAIO_") && name != VARIABLE)
}
