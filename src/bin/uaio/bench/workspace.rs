//! The directory that the measurements work in, and the data file in it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::job::Job;
use super::random::Random;
use crate::failure::{Failure, reason};
use crate::signals::Signals;
use crate::{output, temporary};

/// A file for appends, and a margin.
const EXTRA: u64 = (64 + 16) << 20;
const CHUNK: usize = 1 << 20;
/// Each block of the data file begins with its number, from 1.
const BLOCK: usize = 4096;

/// A directory of our own, removed with everything in it at the end.
pub struct Workspace {
    directory: PathBuf,
    data: PathBuf,
    /// The data file is the user's, who finds it empty again.
    is_lent: bool,
    bytes: u64,
}

impl Workspace {
    /// Makes the directory in `place`, or beside it if that is a file, which then is the data file.
    /// There is no data in it yet.
    pub fn create(place: &Path, bytes: u64) -> Result<Workspace, Failure> {
        let unusable = |problem: String| {
            Failure::Usage(format!("cannot work in '{}': {problem}", place.display()))
        };
        let place = fs::canonicalize(place).map_err(|error| unusable(reason(&error)))?;
        let metadata = place.metadata().map_err(|error| unusable(reason(&error)))?;
        let is_lent = metadata.is_file();
        if is_lent && metadata.len() > 0 {
            return Err(unusable("the file is not empty and would be overwritten".to_string()));
        }
        if !is_lent && !metadata.is_dir() {
            return Err(unusable("it is neither a directory nor a regular file".to_string()));
        }
        let parent = if is_lent { place.parent().unwrap_or(Path::new("/")) } else { &place };
        let (available, _) = file_system(parent).map_err(|error| unusable(reason(&error)))?;
        let needed = needed(bytes);
        if available < needed {
            return Err(Failure::Job(format!(
                "'{}' has {} MiB of free space, {} MiB are needed (see '--file')",
                parent.display(),
                available >> 20,
                needed >> 20
            )));
        }
        let directory = temporary::directory(parent, "uaio-bench-")
            .map_err(|error| unusable(reason(&error)))?;
        let data = if is_lent { place } else { directory.join("data") };
        Ok(Workspace { directory, data, is_lent, bytes })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// A job that works here.
    pub fn job(&self, library: &Path, kind: super::job::Kind, warm_up: f64, seconds: f64) -> Job {
        Job {
            library: library.to_path_buf(),
            kind,
            data: self.data.clone(),
            data_bytes: self.bytes,
            directory: self.directory.clone(),
            warm_up,
            seconds,
        }
    }

    /// Writes all blocks of the data file to the disk, so that direct writes find them mapped.
    pub fn fill(&self, signals: &Signals) -> Result<(), Failure> {
        let failed =
            |error: io::Error| Failure::io(format_args!("'{}'", self.data.display()), &error);
        let mut file = match self.is_lent {
            true => File::options().write(true).open(&self.data).map_err(failed)?,
            false => File::create_new(&self.data).map_err(failed)?,
        };
        let mut random = Random::new(1);
        let mut chunk = vec![0; CHUNK];
        for word in chunk.chunks_exact_mut(8) {
            word.copy_from_slice(&random.below(u64::MAX).to_ne_bytes());
        }
        let mut number = 0_u64;
        for _ in 0..self.bytes / CHUNK as u64 {
            signals.check()?;
            for block in chunk.chunks_exact_mut(BLOCK) {
                number += 1;
                if let Some(mark) = block.first_chunk_mut() {
                    *mark = number.to_ne_bytes();
                }
            }
            file.write_all(&chunk).map_err(failed)?;
        }
        file.sync_all().map_err(failed)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.directory).and_then(|()| match self.is_lent {
            true => File::options().write(true).open(&self.data)?.set_len(0),
            false => Ok(()),
        });
        if let Err(error) = removed {
            let path = self.directory.display();
            output::complain(&format!("cannot clean up '{path}': {}", reason(&error)));
        }
    }
}

/// Bytes that a workspace with a data file of `bytes` takes at most.
pub fn needed(bytes: u64) -> u64 {
    bytes + EXTRA
}

/// Free bytes, and the type of the file system.
pub fn file_system(path: &Path) -> io::Result<(u64, i64)> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path ends with NUL; `status` is read only when statfs has filled it.
    let status = unsafe {
        if libc::statfs(path.as_ptr(), status.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        status.assume_init()
    };
    Ok((status.f_bavail.saturating_mul(status.f_bsize as u64), status.f_type as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signals are held by the whole process, so one test does all.
    #[test]
    fn files_are_lent_or_removed_and_never_overwritten() {
        let signals = Signals::hold().unwrap();
        let place = std::env::temp_dir().join(format!("uaio-bench-test-{}", std::process::id()));
        fs::create_dir(&place).unwrap();

        let workspace = Workspace::create(&place, 2 << 20).unwrap();
        workspace.fill(&signals).unwrap();
        let data = fs::read(&workspace.data).unwrap();
        assert_eq!(data.len(), 2 << 20);
        let marks = data.chunks_exact(BLOCK).map(|block| *block.first_chunk().unwrap());
        assert!(marks.map(u64::from_ne_bytes).eq(1..=512));
        drop(workspace);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);

        let file = place.join("file");
        fs::write(&file, "").unwrap();
        let workspace = Workspace::create(&file, 1 << 20).unwrap();
        workspace.fill(&signals).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        drop(workspace);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 1);
        assert_eq!(file.metadata().unwrap().len(), 0);

        fs::write(&file, "precious").unwrap();
        match Workspace::create(&file, 1 << 20) {
            Err(Failure::Usage(message)) => assert!(message.contains("not empty"), "{message}"),
            _ => panic!("a file with content was taken"),
        }
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        match Workspace::create(&place, 1 << 60) {
            Err(Failure::Job(message)) => assert!(message.contains("needed"), "{message}"),
            _ => panic!("room for everything"),
        }
        fs::remove_dir_all(&place).unwrap();
    }
}
