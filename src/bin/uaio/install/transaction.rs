//! All files or none.
//!
//! Everything is first written beside its target under a temporary name. Then each file takes its
//! place by a rename, so that no program ever finds half a file; what was there before is kept as
//! a second hard link until all are in place, and goes back if one cannot be.

use std::ffi::{CString, OsString};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, reason};

/// Files on their way. Dropped before `commit` has ended well, it leaves everything as it was.
#[derive(Default)]
pub struct Transaction {
    directories: Vec<PathBuf>,
    files: Vec<Staged>,
    done: bool,
}

struct Staged {
    target: PathBuf,
    temporary: PathBuf,
    old: PathBuf,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Under the temporary name.
    Written,
    /// The same, and the old file has its second name.
    Saved,
    /// In place, where nothing was.
    Placed,
    /// In place of the old file.
    Replaced,
}

impl Transaction {
    /// Writes a file that will be `target`.
    pub fn file(&mut self, target: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        self.stage(target, |temporary| {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
            // From here on the file is removed on failure; one of another's making is not.
            Ok(move || {
                file.write_all(bytes)?;
                // Whatever the umask says: libraries are for everyone.
                file.set_permissions(Permissions::from_mode(mode))
            })
        })
    }

    /// Makes a symbolic link that will be `target`.
    pub fn link(&mut self, target: &Path, to: &str) -> Result<(), Failure> {
        self.stage(target, |temporary| symlink(to, temporary).map(|()| || Ok(())))
    }

    fn stage<Fill: FnOnce() -> io::Result<()>>(
        &mut self,
        target: &Path,
        create: impl FnOnce(&Path) -> io::Result<Fill>,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::io(format_args!("'{}'", target.display()), &error);
        let parent = target.parent().unwrap_or(Path::new("/"));
        let refused = |path: &Path, error: io::Error| match is_refusal(&error) {
            true => Failure::Usage(format!("'{}' {}", target.display(), unwritable(path, &error))),
            false => failed(error),
        };
        self.create_directories(parent).map_err(|(path, error)| refused(&path, error))?;
        let temporary = hidden(target, "new");
        let fill = create(&temporary).map_err(|error| refused(parent, error))?;
        self.files.push(Staged {
            target: target.to_path_buf(),
            temporary,
            old: hidden(target, "old"),
            state: State::Written,
        });
        fill().map_err(failed)
    }

    /// An error comes with the directory in which nothing could be made.
    fn create_directories(&mut self, path: &Path) -> Result<(), (PathBuf, io::Error)> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new("/"));
        self.create_directories(parent)?;
        fs::create_dir(path).map_err(|error| (parent.to_path_buf(), error))?;
        self.directories.push(path.to_path_buf());
        path.metadata()
            .map(|metadata| metadata.permissions().mode())
            .and_then(|mode| fs::set_permissions(path, Permissions::from_mode(mode | 0o755)))
            .map_err(|error| (path.to_path_buf(), error))
    }

    /// Puts everything in place.
    pub fn commit(mut self) -> Result<(), Failure> {
        for file in &mut self.files {
            file.place().map_err(|error| {
                Failure::Job(format!(
                    "'{}': {}; everything is as before",
                    file.target.display(),
                    reason(&error)
                ))
            })?;
        }
        self.done = true;
        for file in &self.files {
            if file.state == State::Replaced {
                let _ = fs::remove_file(&file.old);
            }
        }
        Ok(())
    }
}

impl Staged {
    fn place(&mut self) -> io::Result<()> {
        match fs::hard_link(&self.target, &self.old) {
            Ok(()) => self.state = State::Saved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::rename(&self.temporary, &self.target)?;
        self.state = match self.state {
            State::Saved => State::Replaced,
            _ => State::Placed,
        };
        Ok(())
    }

    fn undo(&self) {
        let _ = match self.state {
            State::Written => fs::remove_file(&self.temporary),
            State::Saved => {
                fs::remove_file(&self.temporary).and_then(|()| fs::remove_file(&self.old))
            }
            State::Placed => fs::remove_file(&self.target),
            State::Replaced => fs::rename(&self.old, &self.target),
        };
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        for file in self.files.iter().rev() {
            file.undo();
        }
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// A name in the directory of `target` that nothing looks for.
fn hidden(target: &Path, kind: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".uaio-{}-{kind}", std::process::id()));
    target.with_file_name(name)
}

/// What is wrong with a directory in which nothing can be created.
pub fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("cannot be installed: '{}' cannot be written to: {}", path.display(), reason(error))
}

/// Whether the file system does not want the file at all, whatever room it has. Root learns that
/// only by trying: in /proc and /sys access() promises everything.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// Whether files can be created in the directory `path`, as far as can be told beforehand.
pub fn may_write(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let access = libc::W_OK | libc::X_OK;
    // SAFETY: the path ends with NUL.
    match unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), access, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("uaio-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn dropped_before_commit_it_leaves_nothing() {
        let scratch = Scratch::new("dropped");
        let mut transaction = Transaction::default();
        transaction.file(&scratch.0.join("a/b/file"), b"x", 0o644).unwrap();
        transaction.link(&scratch.0.join("link"), "a/b/file").unwrap();
        assert_eq!(scratch.names().len(), 2);
        drop(transaction);
        assert!(scratch.names().is_empty());
    }

    #[test]
    fn a_failing_commit_restores_what_it_replaced() {
        let scratch = Scratch::new("restored");
        let path = |name: &str| scratch.0.join(name);
        fs::write(path("file"), "old").unwrap();
        symlink("file", path("link")).unwrap();
        let mut transaction = Transaction::default();
        transaction.file(&path("file"), b"new", 0o600).unwrap();
        transaction.link(&path("link"), "elsewhere").unwrap();
        transaction.file(&path("fresh"), b"new", 0o600).unwrap();
        transaction.file(&path("blocked"), b"new", 0o600).unwrap();
        // Nothing can be renamed to a directory, nor linked from one.
        fs::create_dir(path("blocked")).unwrap();
        assert!(transaction.commit().is_err());
        assert_eq!(scratch.names(), ["blocked", "file", "link"]);
        assert_eq!(fs::read_to_string(path("file")).unwrap(), "old");
        assert_eq!(fs::read_link(path("link")).unwrap(), Path::new("file"));
    }

    #[test]
    fn a_commit_replaces_and_tidies_up() {
        let scratch = Scratch::new("replaced");
        let path = |name: &str| scratch.0.join(name);
        fs::write(path("file"), "old").unwrap();
        let mut transaction = Transaction::default();
        transaction.file(&path("file"), b"new", 0o751).unwrap();
        transaction.link(&path("link"), "file").unwrap();
        transaction.commit().unwrap();
        assert_eq!(scratch.names(), ["file", "link"]);
        assert_eq!(fs::read_to_string(path("link")).unwrap(), "new");
        assert_eq!(path("file").metadata().unwrap().permissions().mode() & 0o7777, 0o751);
    }
}
