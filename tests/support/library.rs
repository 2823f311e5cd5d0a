//! Which library is tested: ours, fresh from this very `cargo test`, or the one that `UAIO_LIB`
//! names; and where the system's own libaio is, to compare with.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::scratch::Scratch;
use super::{Outcome, shown, skip};

/// The library under test.
///
/// `cargo test` leaves the cdylib beside the test programs in `deps/`. A directory further up there
/// may be one as well, but that is the leftover of another build.
pub fn ours() -> PathBuf {
    let path = match env::var_os("UAIO_LIB") {
        Some(named) => env::current_dir().unwrap().join(named),
        None => env::current_exe().unwrap().with_file_name("libaio.so"),
    };
    assert!(path.is_file(), "no library to test at {}", path.display());
    path
}

/// The distribution's libaio, or the reason to skip.
pub fn system() -> Outcome<PathBuf> {
    let arch = env::consts::ARCH;
    let found = [
        format!("/lib/{arch}-linux-gnu"),
        format!("/usr/lib/{arch}-linux-gnu"),
        "/lib64".into(),
        "/usr/lib64".into(),
        "/lib".into(),
        "/usr/lib".into(),
    ]
    .iter()
    .flat_map(|directory| {
        ["libaio.so.1", "libaio.so.1t64"].map(|name| Path::new(directory).join(name))
    })
    .find_map(|path| fs::canonicalize(path).ok());
    match found {
        Some(path) => Ok(path),
        None => skip("the system has no libaio.so.1 to compare with"),
    }
}

/// The system's libaio, where it can work, or the reason to skip.
pub fn system_working() -> Outcome<PathBuf> {
    let library = system()?;
    let mut context = 0usize;
    // SAFETY: io_setup writes the context into the word that it is given.
    let created = unsafe { libc::syscall(libc::SYS_io_setup, 1, &raw mut context) };
    if created != 0 {
        return skip(format!("kernel AIO is not available: {}", std::io::Error::last_os_error()));
    }
    // SAFETY: the context was created above.
    unsafe { libc::syscall(libc::SYS_io_destroy, context) };
    Ok(library)
}

/// A directory in which `library` is called `libaio.so.1`, for `LD_LIBRARY_PATH`, and
/// `libaio.so`, for the linker's `-L`.
pub fn staged(library: &Path) -> Outcome<Scratch> {
    let stage = Scratch::new(&format!("stage-{}", shown(library.file_name().unwrap())));
    for name in ["libaio.so.1", "libaio.so"] {
        symlink(library, stage.path().join(name))?;
    }
    Ok(stage)
}
