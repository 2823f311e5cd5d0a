//! `uaio install`: the files, where they go, and what must be true before anything is written.

mod transaction;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::Install;
use crate::failure::{Failure, reason};
use crate::library::{self, Library};
use crate::output;
use crate::signals::Signals;
use transaction::Transaction;

/// What follows the soname in the file name, as in upstream's libaio.so.1.0.2.
const MINOR: &str = ".0.2";
const HEADER: &str = include_str!("../../../../include/libaio.h");
const PKG_CONFIG: &str = include_str!("../../../../pkgconfig/libaio.pc.in");
/// Stands in every header of ours, and not in upstream's.
const HEADER_MARK: &str = "MIT OR Apache-2.0";
/// Stands in everything else of ours, and not in another libaio's.
const MARK: &str = "uaio";

/// One file of the installation.
struct Artifact {
    /// With DESTDIR.
    target: PathBuf,
    content: Content,
    /// A file with this text at the target's place is an older one of ours.
    mark: &'static str,
}

enum Content {
    File { bytes: Vec<u8>, mode: u32 },
    Link { to: String },
}

/// Installs everything or nothing.
pub fn run(options: &Install) -> Result<(), Failure> {
    let library = library::find(options.library.as_deref())?;
    let artifacts = artifacts(options, &library)?;
    for artifact in &artifacts {
        check(artifact)
            .map_err(|what| Failure::Usage(format!("'{}' {what}", artifact.target.display())))?;
    }
    let signals = Signals::hold()?;
    let mut transaction = Transaction::default();
    for artifact in &artifacts {
        signals.check()?;
        match &artifact.content {
            Content::File { bytes, mode } => transaction.file(&artifact.target, bytes, *mode)?,
            Content::Link { to } => transaction.link(&artifact.target, to)?,
        }
    }
    signals.check()?;
    transaction.commit()?;
    let lines = artifacts.iter().map(|artifact| match &artifact.content {
        Content::File { .. } => format!("{}\n", artifact.target.display()),
        Content::Link { to } => format!("{} -> {to}\n", artifact.target.display()),
    });
    // Everything is in place, and only that was asked for: the list is a courtesy.
    if let Err(Failure::Job(problem)) = output::say(&lines.collect::<String>()) {
        output::complain(&format!("everything is installed, but not listed: {problem}"));
    }
    Ok(())
}

fn artifacts(options: &Install, library: &Library) -> Result<Vec<Artifact>, Failure> {
    let archive = library.path.with_file_name("libaio.a");
    let command = std::env::current_exe()
        .map_err(|error| Failure::io("cannot tell where this command is", &error))?;
    let real = format!("{}{MINOR}", library.soname);
    let place = |path: PathBuf| below(options.destdir.as_deref(), &path);
    let file = |path: PathBuf, bytes: Vec<u8>, mode: u32, mark: &'static str| Artifact {
        target: place(path),
        content: Content::File { bytes, mode },
        mark,
    };
    let link = |name: &str| Artifact {
        target: place(options.libdir.join(name)),
        content: Content::Link { to: real.clone() },
        mark: MARK,
    };
    let libdir = &options.libdir;
    // The links come last, so that they never point to a file that is not there.
    Ok(vec![
        file(libdir.join(&real), read(&library.path)?, 0o755, MARK),
        file(libdir.join("libaio.a"), read(&archive)?, 0o644, MARK),
        file(options.includedir.join("libaio.h"), HEADER.into(), 0o644, HEADER_MARK),
        file(libdir.join("pkgconfig/libaio.pc"), pkg_config(options).into_bytes(), 0o644, MARK),
        file(options.prefix.join("bin/uaio"), read(&command)?, 0o755, MARK),
        link(&library.soname),
        link("libaio.so"),
    ])
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| {
        Failure::Usage(format!("cannot read '{}': {}", path.display(), reason(&error)))
    })
}

fn pkg_config(options: &Install) -> String {
    PKG_CONFIG
        .replace("@PREFIX@", &options.prefix.to_string_lossy())
        .replace("@LIBDIR@", &options.libdir.to_string_lossy())
        .replace("@INCLUDEDIR@", &options.includedir.to_string_lossy())
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}

/// `path`, which is absolute, below `destdir`.
fn below(destdir: Option<&Path>, path: &Path) -> PathBuf {
    match (destdir, path.strip_prefix("/")) {
        (Some(destdir), Ok(relative)) => destdir.join(relative),
        _ => path.to_path_buf(),
    }
}

/// What can be known beforehand to be in the way; nothing is written.
fn check(artifact: &Artifact) -> Result<(), String> {
    let parent = artifact.target.parent().unwrap_or(Path::new("/"));
    let Some(existing) = parent.ancestors().find(|path| path.symlink_metadata().is_ok()) else {
        return check_directory(Path::new("."));
    };
    check_directory(existing)?;
    match artifact.target.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(reason(&error)),
        Ok(metadata) if metadata.is_symlink() => {
            // A link that leads nowhere is nobody's library.
            if !artifact.target.exists() {
                return Ok(());
            }
        }
        Ok(_) => {}
    }
    if !artifact.target.is_file() {
        return Err("is in the way and is not a file".to_string());
    }
    let bytes = fs::read(&artifact.target).map_err(|error| reason(&error))?;
    let mark = artifact.mark.as_bytes();
    if !bytes.windows(mark.len()).any(|window| window == mark) {
        return Err("is not from uaio and is not replaced; remove it first".to_string());
    }
    Ok(())
}

fn check_directory(path: &Path) -> Result<(), String> {
    if !path.is_dir() {
        return Err(format!("cannot be installed: '{}' is not a directory", path.display()));
    }
    transaction::may_write(path).map_err(|error| transaction::unwritable(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destdir_is_put_before_absolute_paths() {
        assert_eq!(below(Some(Path::new("/d")), Path::new("/usr/lib")), Path::new("/d/usr/lib"));
        assert_eq!(below(Some(Path::new("d/")), Path::new("/usr")), Path::new("d/usr"));
        assert_eq!(below(None, Path::new("/usr")), Path::new("/usr"));
    }

    #[test]
    fn our_texts_carry_the_mark() {
        assert!(HEADER.contains(HEADER_MARK));
        assert!(PKG_CONFIG.contains(MARK));
    }

    #[test]
    fn no_placeholder_is_left_in_libaio_pc() {
        let options = Install {
            destdir: Some("/d".into()),
            prefix: "/p".into(),
            libdir: "/p/l".into(),
            includedir: "/p/i".into(),
            library: None,
        };
        let text = pkg_config(&options);
        assert!(!text.contains('@'), "{text}");
        assert!(!text.contains("/d"), "DESTDIR is for writing only: {text}");
        for line in ["prefix=/p\n", "libdir=/p/l\n", "includedir=/p/i\n"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
