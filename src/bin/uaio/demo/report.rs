//! Whether the demonstration worked, and what it prints.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aio_calls::Watch;
use super::engine::Engine;
use super::facts::{Facts, Missing};
use crate::failure::{Failure, reason};
use crate::library::Library;

/// What is known about a program that has ended well.
pub struct Job {
    /// Checksum of the bytes that it was to copy.
    pub written: u64,
    /// The library that its io_submit is in.
    pub answered: Option<PathBuf>,
    /// How its kernel AIO calls were watched.
    pub watch: Option<Watch>,
    /// The engine was chosen, and is not the kernel's AIO.
    pub is_without_kernel: bool,
    /// What it told.
    pub facts: Facts,
    /// What was seen of the library.
    pub engine: Engine,
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Failure {
        Failure::Job(format!("copy.c did not tell its '{}'", missing.0))
    }
}

impl Job {
    /// The text to print, or what is wrong.
    pub fn report(&self, library: &Library, size: u64) -> Result<String, Failure> {
        self.check_library(&library.path)?;
        self.check_copy(size)?;
        let calls = self.kernel_calls()?;
        let facts = &self.facts;
        let time = facts.duration("nanoseconds")?;
        let files = if facts.number("direct")? == 1 { "O_DIRECT" } else { "buffered files" };
        let rows = [
            ("program", "copy.c, an unmodified libaio program".to_string()),
            ("library", library.path.display().to_string()),
            ("engine", format!("{}; {files}", self.engine)),
            ("events", facts.number("events")?.to_string()),
            ("bytes", format!("{size} copied, checksums equal ({:016x})", self.written)),
            ("polls", "one fired, one was cancelled and had its event".to_string()),
            ("time", format!("{:.3} s, {} MiB/s", time.as_secs_f64(), rate(size, time))),
            ("kernel AIO", calls),
        ];
        Ok(rows.iter().map(|(name, value)| format!("{name:<10}  {value}\n")).collect())
    }

    /// A dangling or wrong link would let the system's libaio answer.
    fn check_library(&self, expected: &Path) -> Result<(), Failure> {
        let answered = self.answered.as_deref().ok_or(Missing("library"))?;
        let identity = |path: &Path| {
            fs::metadata(path)
                .map(|metadata| (metadata.dev(), metadata.ino()))
                .map_err(|error| Failure::io(format_args!("library '{}'", path.display()), &error))
        };
        if identity(answered)? == identity(expected)? {
            return Ok(());
        }
        Err(Failure::Job(format!(
            "the library that answered is '{}', not '{}'",
            answered.display(),
            expected.display()
        )))
    }

    fn check_copy(&self, size: u64) -> Result<(), Failure> {
        let (told, copied) = (self.facts.number("size")?, self.facts.number("copied")?);
        if (told, copied) != (size, size) {
            return Err(Failure::Job(format!("{copied} bytes of {told} copied instead of {size}")));
        }
        let (source, copy) = (self.facts.sum("source")?, self.facts.sum("copy")?);
        if (source, copy) != (self.written, self.written) {
            return Err(Failure::Job(format!(
                "checksums differ: {:016x} written, {source:016x} in the source, \
                 {copy:016x} in the copy",
                self.written
            )));
        }
        Ok(())
    }

    fn kernel_calls(&self) -> Result<String, Failure> {
        Ok(match &self.watch {
            Some(Watch::Counting(counter)) => {
                let counts: Vec<String> = counter
                    .counts()
                    .iter()
                    .map(|(name, count)| format!("{name} {count}"))
                    .collect();
                let counts = counts.join(", ");
                match counts.is_empty() {
                    true => "0 calls, counted by seccomp".to_string(),
                    false if self.is_without_kernel => {
                        return Err(Failure::Job(format!("kernel AIO calls were made: {counts}")));
                    }
                    false => format!("{counts}, counted by seccomp"),
                }
            }
            Some(Watch::Forbidding(why)) => format!(
                "calls were forbidden by seccomp (ENOSYS), so that none can have worked; \
                 not counted: {}",
                reason(why)
            ),
            Some(Watch::Absent(why)) => format!("calls were not counted: {}", reason(why)),
            None => "calls were not counted".to_string(),
        })
    }
}

/// In MiB per second.
fn rate(bytes: u64, time: Duration) -> u64 {
    let nanoseconds = time.as_nanos().max(1);
    let rate = (u128::from(bytes) * 1_000_000_000 / nanoseconds) >> 20;
    u64::try_from(rate).unwrap_or(u64::MAX)
}
