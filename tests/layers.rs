//! The house rules that no compiler checks: who imports whom, who may use atomics, what a comment
//! has to stand by, how long a file may be.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// Bottom first: a module imports from its own line and from lines above, never from below.
const LAYERS: &[&[&str]] = &[
    &["aio_abi"],
    &["sync"],
    &["sys"],
    &["config"],
    &["lock"],
    &["process"],
    &["memory"],
    &["files"],
    &["uring"],
    &["kaio"],
    &["request"],
    &["completion"],
    &["engine"],
    &["poller"],
    &["harvester"],
    &["context"],
    &["registry"],
    &["lifecycle"],
    &["abi"],
];

/// A source file, its lines without those of its unit tests.
struct Source {
    path: String,
    lines: Vec<String>,
}

impl Source {
    /// `file:line` for a message, from an index into `lines`.
    fn at(&self, index: usize) -> String {
        format!("{}:{}", self.path, index + 1)
    }

    /// The line without strings' contents and comments; good enough for this code.
    fn code(&self, index: usize) -> &str {
        self.lines[index].split("//").next().unwrap_or_default()
    }

    /// Whether a comment on this line or the `reach` lines above it contains one of `words`.
    fn has_comment(&self, index: usize, reach: usize, words: &[&str]) -> bool {
        self.lines[index.saturating_sub(reach)..=index]
            .iter()
            .filter_map(|line| line.split_once("//"))
            .any(|(_, comment)| words.iter().any(|word| comment.contains(word)))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![root().join(directory)];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no files in {directory}");
    found
}

/// The library's own sources, not those of the command, and without unit tests.
fn library() -> Vec<Source> {
    files("src", &["rs"])
        .into_iter()
        .filter(|path| !path.starts_with(root().join("src/bin")))
        .filter(|path| path.file_name().is_none_or(|name| name != "tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text
                .lines()
                .take_while(|line| !line.starts_with("#[cfg(test)]"))
                .take_while(|line| !line.starts_with("#[cfg(all(test"))
                .map(String::from)
                .collect();
            let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_string();
            Source { path, lines }
        })
        .collect()
}

/// The module at a path like `src/engine/pool.rs`, to the depth that `LAYERS` knows.
fn module(path: &str) -> &str {
    let path = path.strip_prefix("src/").unwrap();
    path.split(['/', '.']).next().unwrap()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn none(what: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{what}:\n{}", offences.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let mut offences = Vec::new();
    let mut imports = 0;
    for source in library().iter().filter(|source| source.path != "src/lib.rs") {
        let own = layer(module(&source.path));
        if own.is_none() {
            offences.push(format!("{}: in no layer", source.path));
        }
        for index in 0..source.lines.len() {
            for import in source.code(index).split("crate::").skip(1) {
                imports += 1;
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                let name = import.split(|c: char| !is_part(c)).next().unwrap();
                // `crate::{a, b}` would hide names from this test.
                if name.is_empty() || layer(name).is_none() || layer(name) > own {
                    offences.push(format!("{}: {}", source.at(index), source.lines[index].trim()));
                }
            }
        }
    }
    assert!(imports > 0);
    none("imports that go up", offences);
}

#[test]
fn atomics_locks_and_threads_come_from_sync() {
    let forbidden =
        ["std::sync", "core::sync", "alloc::sync", "std::thread", "libc::pthread_mutex", "loom::"];
    let mut offences = Vec::new();
    for source in library().iter().filter(|source| source.path != "src/sync.rs") {
        for index in 0..source.lines.len() {
            if forbidden.iter().any(|name| source.code(index).contains(name)) {
                offences.push(format!("{}: {}", source.at(index), source.lines[index].trim()));
            }
        }
    }
    none("not from src/sync.rs", offences);
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    let mut offences = Vec::new();
    let mut blocks = 0;
    for source in library() {
        for index in 0..source.lines.len() {
            let code = source.code(index);
            if code.contains("unsafe {") || code.contains("unsafe impl") {
                blocks += 1;
                if !source.has_comment(index, 6, &["SAFETY: "]) {
                    offences.push(source.at(index));
                }
            }
        }
    }
    assert!(blocks > 0);
    none("unsafe without a SAFETY comment", offences);
}

#[test]
fn orderings_name_their_partners() {
    let mut offences = Vec::new();
    let mut orderings = 0;
    for source in library() {
        for index in 0..source.lines.len() {
            for ordering in ["Acquire", "Release", "AcqRel", "SeqCst"] {
                if !source.code(index).contains(&format!("Ordering::{ordering}")) {
                    continue;
                }
                orderings += 1;
                let named = |word| source.has_comment(index, 4, &[word]);
                let both = ordering == "AcqRel" && named("Acquire") && named("Release");
                if !named(ordering) && !both {
                    offences.push(format!("{}: {}", source.at(index), source.lines[index].trim()));
                }
            }
        }
    }
    assert!(orderings > 0);
    none("orderings without a comment", offences);
}

fn is_ordering_comment(line: &str) -> bool {
    let orderings = ["// Acquire: ", "// Release: ", "// AcqRel: ", "// SeqCst: "];
    orderings.iter().any(|start| line.trim().starts_with(start))
}

/// An ordering that was weakened is still described by its comment.
#[test]
fn comments_about_orderings_are_true() {
    const REACH: usize = 8;
    let mut offences = Vec::new();
    let mut comments = 0;
    for source in library() {
        for index in 0..source.lines.len() {
            let Some(comment) = source.lines[index].trim().strip_prefix("// ") else { continue };
            for ordering in ["Acquire", "Release", "AcqRel", "SeqCst"] {
                let Some(rest) = comment.strip_prefix(ordering) else { continue };
                let how_many = match rest {
                    _ if rest.starts_with(", both: ") => 2,
                    _ if rest.starts_with(": ") => 1,
                    _ => continue,
                };
                comments += 1;
                let name = format!("Ordering::{ordering}");
                let used: usize = (index + 1..source.lines.len().min(index + 1 + REACH))
                    .take_while(|line| !is_ordering_comment(&source.lines[*line]))
                    .map(|line| source.code(line).matches(&name).count())
                    .sum();
                if used < how_many {
                    offences.push(format!("{}: {comment}", source.at(index)));
                }
            }
        }
    }
    assert!(comments > 0);
    none("comments about orderings that are not there", offences);
}

#[test]
fn files_are_short() {
    let mut offences = Vec::new();
    for directory in ["src", "tests", "c-tests"] {
        for path in files(directory, &["rs", "c", "cc", "h"]) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            if lines > 600 {
                offences.push(format!("{}: {lines} lines", path.display()));
            }
        }
    }
    none("more than 600 lines", offences);
}

/// See `src/sys/file_info.rs`, which may ask for all where there is nothing else.
#[test]
fn nobody_asks_for_the_times_of_a_file() {
    let asks = [
        "SYS_fstat,",
        "SYS_fstat)",
        "SYS_newfstatat",
        "SYS_stat",
        "SYS_lstat",
        "libc::fstat",
        "libc::stat(",
        "libc::lstat(",
        "STATX_CTIME",
        "STATX_MTIME",
        "STATX_ATIME",
        "STATX_BTIME",
        "STATX_BASIC_STATS",
        "STATX_ALL",
        "metadata(",
    ];
    let mut offences = Vec::new();
    let mut allowed = 0;
    for source in library() {
        for index in 0..source.lines.len() {
            let code = source.code(index).replace("SYS_statx", "").replace("SYS_statfs", "");
            if !asks.iter().any(|ask| code.contains(ask)) {
                continue;
            }
            if source.path == "src/sys/file_info.rs" && code.contains("libc::SYS_fstat, fd, into") {
                allowed += 1;
            } else {
                offences.push(source.at(index));
            }
        }
    }
    none("asks for the times of a file", offences);
    assert_eq!(allowed, 1, "the call for where there is no statx");
}

#[test]
fn only_the_version_script_exports() {
    let mut offences = Vec::new();
    for source in library() {
        for index in 0..source.lines.len() {
            if ["no_mangle", "export_name"].iter().any(|name| source.code(index).contains(name)) {
                offences.push(source.at(index));
            }
        }
    }
    none("exported without a version", offences);
}
