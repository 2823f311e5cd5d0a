//! Where our libaio is, and whether a file is it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::elf::{Elf, NotUsable};
use crate::failure::{Failure, reason};

/// The names programs know the library by: upstream's, and Debian's for 64-bit time.
const SONAMES: [&str; 2] = ["libaio.so.1", "libaio.so.1t64"];

/// What no other libaio has in it: a variable that ours looks at.
const MARK: &[u8] = b"UAIO_ENGINE";

/// A shared library that is ours.
#[derive(Debug)]
pub struct Library {
    /// Absolute, without links.
    pub path: PathBuf,
    /// One of [`SONAMES`].
    pub soname: String,
}

/// The library at `chosen`, or else the one that belongs to this command.
pub fn find(chosen: Option<&Path>) -> Result<Library, Failure> {
    if let Some(path) = chosen {
        return inspect(path)
            .map_err(|problem| Failure::Usage(format!("library '{}': {problem}", path.display())));
    }
    let command = std::env::current_exe()
        .map_err(|error| Failure::io("cannot tell where this command is", &error))?;
    let candidates = candidates(command.parent().unwrap_or(Path::new("/")));
    match candidates.iter().find_map(|path| inspect(path).ok()) {
        Some(library) => Ok(library),
        None => Err(Failure::Usage(format!(
            "the library is neither beside '{}' nor in a lib directory next to it; \
             build it with 'cargo build --release' or name it with '--library PATH'",
            command.display()
        ))),
    }
}

/// In the order of preference, for a command in `bin`.
fn candidates(bin: &Path) -> Vec<PathBuf> {
    // Cargo always writes to deps, and only some of its commands renew the copy beside us.
    let mut paths = vec![bin.join("deps/libaio.so"), bin.join("libaio.so")];
    let root = bin.parent().unwrap_or(bin);
    let mut libdirs: Vec<PathBuf> = subdirectories(root)
        .into_iter()
        .filter(|path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"lib"))
        })
        .collect();
    // Debian's lib/x86_64-linux-gnu.
    libdirs.extend(
        subdirectories(&root.join("lib"))
            .into_iter()
            .filter(|path| path.as_os_str().as_encoded_bytes().ends_with(b"-linux-gnu")),
    );
    for libdir in libdirs {
        paths.extend(SONAMES.map(|soname| libdir.join(soname)));
    }
    paths
}

fn subdirectories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    paths
}

/// Checks that `path` is our library, however it was linked.
pub fn inspect(path: &Path) -> Result<Library, String> {
    if !path.metadata().map_err(|error| reason(&error))?.is_file() {
        return Err("is not a regular file".to_string());
    }
    let elf = Elf::open(path).map_err(|problem| match problem {
        NotUsable::Unreadable(error) => reason(&error),
        NotUsable::OtherMachine => "is for another machine".to_string(),
        NotUsable::NotElf | NotUsable::NotLoadable => "is no shared library".to_string(),
    })?;
    let soname = elf.soname().map_err(|error| reason(&error))?;
    let Some(soname) = soname.as_deref().and_then(OsStr::to_str).filter(|it| SONAMES.contains(it))
    else {
        return Err("is no libaio.so.1".to_string());
    };
    let bytes = fs::read(path).map_err(|error| reason(&error))?;
    if !bytes.windows(MARK.len()).any(|window| window == MARK) {
        return Err("is another libaio, not uaio's".to_string());
    }
    let path = fs::canonicalize(path).map_err(|error| reason(&error))?;
    Ok(Library { path, soname: soname.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_not_ours() {
        for (path, words) in [
            ("/nonexistent", "No such file"),
            ("/", "regular file"),
            ("/dev/null", "regular file"),
            ("/etc/passwd", "no shared library"),
            ("/proc/self/exe", "no libaio.so.1"),
        ] {
            match inspect(Path::new(path)) {
                Err(problem) => assert!(problem.contains(words), "{path}: {problem}"),
                Ok(library) => panic!("{path}: {library:?}"),
            }
        }
    }

    #[test]
    fn the_file_that_cargo_always_renews_comes_first() {
        let candidates = candidates(Path::new("/nonexistent/target/release"));
        let expected = ["deps/libaio.so", "libaio.so"];
        assert_eq!(
            candidates,
            expected.map(|name| Path::new("/nonexistent/target/release").join(name))
        );
    }
}
