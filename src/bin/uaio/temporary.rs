//! Directories of our own.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Makes a directory in `parent` whose name begins with `start`. It is for this user alone.
pub fn directory(parent: &Path, start: &str) -> io::Result<PathBuf> {
    let template = parent.join(format!("{start}XXXXXX"));
    let template = CString::new(template.into_os_string().into_vec())?.into_raw();
    // SAFETY: mkdtemp changes the last six bytes before the NUL in place; the string then goes
    // back to where it came from.
    let (made, path) = unsafe { (libc::mkdtemp(template), CString::from_raw(template)) };
    if made.is_null() {
        return Err(io::Error::last_os_error());
    }
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}
