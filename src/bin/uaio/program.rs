//! Finding a program, and whether LD_PRELOAD has an effect on it.

use std::ffi::{CString, OsStr, OsString, c_int};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::elf::{Elf, NotUsable};
use crate::failure::{Failure, reason};

/// Where exec looks when PATH is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// The kernel reads this much of a script's first line.
const FIRST_LINE: u64 = 255;
/// Interpreters that are scripts themselves: the kernel gives up after as many.
const DEEPEST: usize = 5;

/// The file to execute for `name`, which the library can be preloaded into.
pub fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let refused =
        |problem: &str| Failure::Usage(format!("cannot run '{}': {problem}", name.display()));
    let path = locate(name).map_err(|problem| refused(&problem))?;
    let mut file = path.clone();
    for _ in 0..DEEPEST {
        match examine(&file) {
            Ok(None) => return Ok(path),
            Ok(Some(interpreter)) => file = interpreter,
            Err(problem) if file == path => return Err(refused(&problem)),
            Err(problem) => {
                return Err(refused(&format!("its interpreter '{}': {problem}", file.display())));
            }
        }
    }
    Err(refused("too many interpreters"))
}

/// Does what execvp does to find a file.
fn locate(name: &OsStr) -> Result<PathBuf, String> {
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    let mut forbidden = None;
    for directory in std::env::split_paths(&path) {
        // An empty entry of PATH is the current directory, whose programs need a slash as well.
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { &directory };
        let candidate = directory.join(name);
        if name.is_empty() || !candidate.is_file() {
            continue;
        }
        if may_execute(&candidate).is_ok() {
            return Ok(candidate);
        }
        forbidden.get_or_insert(candidate);
    }
    // The error then says what is wrong with it.
    forbidden.ok_or_else(|| "not found in PATH".to_string())
}

/// Checks one file of the chain; the interpreter if it is a script.
fn examine(path: &Path) -> Result<Option<PathBuf>, String> {
    let metadata = path.metadata().map_err(|error| reason(&error))?;
    if metadata.is_dir() {
        return Err("is a directory".to_string());
    }
    if !metadata.is_file() {
        return Err("is not a regular file".to_string());
    }
    may_execute(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => "is not executable".to_string(),
        _ => reason(&error),
    })?;
    match Elf::open(path) {
        Ok(elf) => check_program(&elf, path, &metadata).map(|()| None),
        Err(NotUsable::NotElf) => match read_interpreter(path) {
            // The kernel ignores the set-user-ID bit of a script.
            Ok(Some(interpreter)) => Ok(Some(interpreter)),
            Ok(None) => Err("is neither an ELF program nor a script beginning with '#!'".into()),
            Err(error) => Err(reason(&error)),
        },
        Err(NotUsable::OtherMachine) => Err("is for another machine than the library".to_string()),
        Err(NotUsable::NotLoadable) => Err("is an ELF file but no program".to_string()),
        // Execute permission is enough to run it, but then we cannot tell what it is.
        Err(NotUsable::Unreadable(error)) => Err(format!("cannot be read: {}", reason(&error))),
    }
}

fn check_program(elf: &Elf, path: &Path, metadata: &Metadata) -> Result<(), String> {
    let interpreter = elf.interpreter().map_err(|error| reason(&error))?;
    match interpreter {
        Some(loader) if !loader.exists() => {
            return Err(format!("needs the loader '{}', which does not exist", loader.display()));
        }
        None if !is_loader(elf) => {
            return Err("is statically linked, LD_PRELOAD has no effect on it".to_string());
        }
        _ => {}
    }
    match privileged(path, metadata) {
        Some(why) => Err(format!("{why}, so that the loader ignores LD_PRELOAD")),
        None => Ok(()),
    }
}

/// `ld.so PROGRAM` obeys LD_PRELOAD, though it needs no loader itself.
fn is_loader(elf: &Elf) -> bool {
    matches!(elf.soname(), Ok(Some(name)) if name.as_bytes().starts_with(b"ld-"))
}

/// Why the kernel would set AT_SECURE (security/commoncap.c, cap_bprm_creds_from_file).
fn privileged(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    // SAFETY: these calls only return the process's ids and attributes.
    let (uid, euid, gid, egid, cannot_gain) = unsafe {
        (
            libc::getuid(),
            libc::geteuid(),
            libc::getgid(),
            libc::getegid(),
            libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        )
    };
    let nosuid = is_nosuid(path);
    let mode = metadata.mode();
    // fs/exec.c, bprm_fill_uid: a mount or a process can make the bits void.
    let bits_count = !nosuid && !cannot_gain;
    if bits_count && mode & libc::S_ISUID != 0 {
        if metadata.uid() != uid {
            return Some("it is set-user-ID");
        }
    } else if euid != uid {
        return Some("the effective user is not the real one");
    }
    if bits_count && mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 {
        if metadata.gid() != gid {
            return Some("it is set-group-ID");
        }
    } else if egid != gid {
        return Some("the effective group is not the real one");
    }
    // Root has all capabilities anyway.
    if uid != 0 && !nosuid && has_capabilities(path) {
        return Some("it has file capabilities");
    }
    None
}

fn is_nosuid(path: &Path) -> bool {
    let mut status = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the path ends with NUL; `status` is read only when statvfs has filled it.
    unsafe {
        libc::statvfs(path.as_ptr(), status.as_mut_ptr()) == 0
            && status.assume_init().f_flag & libc::ST_NOSUID != 0
    }
}

fn has_capabilities(path: &Path) -> bool {
    let mut data = [0_u8; 24];
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: both strings end with NUL; at most `data.len()` bytes are stored.
    let size = unsafe {
        libc::getxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            data.as_mut_ptr().cast(),
            data.len(),
        )
    };
    usize::try_from(size).is_ok_and(|size| data.get(..size).is_some_and(grants_capabilities))
}

/// Whether exec would add a capability, by the attribute's content (struct vfs_cap_data, little
/// endian): the effective flag, or one of the permitted bits, of which there are two words.
fn grants_capabilities(data: &[u8]) -> bool {
    let any = |range| data.get::<std::ops::Range<usize>>(range).is_some_and(|it| it != [0; 4]);
    data.first().is_some_and(|flags| flags & 1 != 0) || any(4..8) || any(12..16)
}

fn may_execute(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with NUL.
    let result: c_int =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The interpreter that a script's first line names.
fn read_interpreter(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut start = Vec::new();
    File::open(path)?.take(FIRST_LINE).read_to_end(&mut start)?;
    Ok(interpreter_of(&start))
}

fn interpreter_of(start: &[u8]) -> Option<PathBuf> {
    let line = start.strip_prefix(b"#!")?.split(|&byte| byte == b'\n' || byte == 0).next()?;
    let word = line.split(|&byte| byte == b' ' || byte == b'\t').find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(word.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_a_script_is_its_interpreter() {
        for (start, interpreter) in [
            ("#!/bin/sh\necho", Some("/bin/sh")),
            ("#! \t/usr/bin/env python3 -u\n", Some("/usr/bin/env")),
            ("#!/bin/sh", Some("/bin/sh")),
            ("#!\n/bin/sh", None),
            ("#!  ", None),
            ("echo\n", None),
            ("", None),
        ] {
            assert_eq!(interpreter_of(start.as_bytes()).as_deref(), interpreter.map(Path::new));
        }
    }

    #[test]
    fn a_file_without_a_permitted_capability_grants_none() {
        // setcap cap_net_raw+ep, cap_net_raw+p, a capability beyond 31, cap_net_raw+i, nothing.
        let words = |words: [u32; 5]| words.map(u32::to_le_bytes).concat();
        assert!(grants_capabilities(&words([0x0200_0001, 1 << 13, 0, 0, 0])));
        assert!(grants_capabilities(&words([0x0200_0000, 1 << 13, 0, 0, 0])));
        assert!(grants_capabilities(&words([0x0200_0000, 0, 0, 1, 0])));
        assert!(!grants_capabilities(&words([0x0200_0000, 0, 1 << 13, 0, 1])));
        assert!(!grants_capabilities(&words([0x0200_0000, 0, 0, 0, 0])));
        assert!(!grants_capabilities(&[]));
    }
}
