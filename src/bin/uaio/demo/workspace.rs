//! The directory that the demonstration works in, and the file that it copies.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, reason};
use crate::signals::Signals;
use crate::{output, temporary};

const CHUNK: usize = 1 << 20;

/// A directory of our own, removed with everything in it at the end.
pub struct Workspace(PathBuf);

impl Workspace {
    /// Makes the directory in TMPDIR or in the current directory: unlike /tmp, that is on a disk.
    pub fn create(needed: u64) -> Result<Workspace, Failure> {
        let chosen = std::env::var_os("TMPDIR").filter(|path| !path.is_empty());
        let place = match chosen {
            Some(path) => (PathBuf::from(&path), format!("TMPDIR '{}'", path.display())),
            None => (PathBuf::from("."), "the current directory".to_string()),
        };
        Workspace::create_in(&place.0, needed).map_err(|problem| {
            Failure::Usage(format!(
                "{} cannot hold the temporary files: {problem} (set TMPDIR to choose another)",
                place.1
            ))
        })
    }

    fn create_in(place: &Path, needed: u64) -> Result<Workspace, String> {
        let place = fs::canonicalize(place).map_err(|error| reason(&error))?;
        let available = available_bytes(&place).map_err(|error| reason(&error))?;
        if available < needed {
            return Err(format!("{} MiB are needed, {} free", needed >> 20, available >> 20));
        }
        let directory = temporary::directory(&place, "uaio-").map_err(|error| reason(&error))?;
        Ok(Workspace(directory))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a small file.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        fs::write(self.0.join(name), text).map_err(|error| self.failed(name, &error))
    }

    /// Makes a symbolic link.
    pub fn link(&self, name: &str, to: &Path) -> Result<(), Failure> {
        symlink(to, self.0.join(name)).map_err(|error| self.failed(name, &error))
    }

    /// What a path that is relative to the directory stands for, to be used after its end.
    pub fn resolve(&self, path: &str) -> Option<PathBuf> {
        fs::canonicalize(self.0.join(path)).ok()
    }

    /// Writes `size` pseudo-random bytes; their checksum.
    pub fn write_random(&self, name: &str, size: u64, signals: &Signals) -> Result<u64, Failure> {
        let failed = |error: io::Error| self.failed(name, &error);
        let mut file = File::create_new(self.0.join(name)).map_err(failed)?;
        let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
        let mut sum = Fnv::default();
        let mut chunk = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            signals.check()?;
            let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            for word in chunk.chunks_exact_mut(8) {
                word.copy_from_slice(&random.next().to_ne_bytes());
            }
            sum.add(&chunk[..length]);
            file.write_all(&chunk[..length]).map_err(failed)?;
            left -= length as u64;
        }
        // On disk, so that the program's O_DIRECT reads find mapped blocks.
        file.sync_all().map_err(failed)?;
        Ok(sum.0)
    }

    fn failed(&self, name: &str, error: &io::Error) -> Failure {
        Failure::io(format_args!("'{}'", self.0.join(name).display()), error)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            output::complain(&format!("cannot remove '{}': {}", self.0.display(), reason(&error)));
        }
    }
}

fn available_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut status = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends with NUL; `status` is read only when statvfs has filled it.
    unsafe {
        if libc::statvfs(path.as_ptr(), status.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let status = status.assume_init();
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

/// Marsaglia's xorshift64: as good as random for a file to be copied.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// FNV-1a, as in copy.c.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_fnv_1a() {
        let mut sum = Fnv::default();
        sum.add(b"foobar");
        assert_eq!(sum.0, 0x8594_4171_f739_67e8);
    }

    #[test]
    fn too_little_space_is_told_before_anything_is_made() {
        let place = std::env::temp_dir();
        match Workspace::create_in(&place, u64::MAX) {
            Err(problem) => assert!(problem.contains("needed"), "{problem}"),
            Ok(_) => panic!("a directory with room for everything"),
        }
    }

    #[test]
    fn the_directory_goes_away_with_its_contents() {
        let workspace = Workspace::create_in(&std::env::temp_dir(), 0).unwrap();
        let path = workspace.path().to_path_buf();
        workspace.write("file", "x").unwrap();
        assert!(path.join("file").exists());
        drop(workspace);
        assert!(!path.exists());
    }
}
