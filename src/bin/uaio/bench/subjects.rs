//! What is compared: the system's libaio on kernel AIO, and ours as it is and with each of its
//! engines.

use std::io;
use std::path::{Path, PathBuf};

use super::options::Options;
use crate::elf::Elf;
use crate::failure::{Failure, reason};
use crate::library;

/// The name of kernel AIO in tables.
pub const NATIVE: &str = "native";

/// The variable that chooses an engine.
pub const VARIABLE: &str = "UAIO_ENGINE";

/// A way in which our library works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// What the library chooses.
    Default,
    /// The kernel's AIO, and no io_uring for anything.
    Kernel,
    /// io_uring.
    Uring,
    /// Threads.
    Pool,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 4] = [Engine::Default, Engine::Kernel, Engine::Uring, Engine::Pool];
    /// Those that are compared if nothing is said.
    pub const USUAL: [Engine; 3] = [Engine::Default, Engine::Uring, Engine::Pool];

    /// The value of [`VARIABLE`]; `None`: it is not set.
    pub fn value(self) -> Option<&'static str> {
        (self != Engine::Default).then(|| self.name())
    }

    /// Its name on the command line and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Default => "default",
            Engine::Kernel => "kernel",
            Engine::Uring => "uring",
            Engine::Pool => "pool",
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name in tables.
    pub name: &'static str,
    /// The libaio.
    pub library: PathBuf,
    /// Which engine of ours; none: it is not ours.
    pub engine: Option<Engine>,
}

/// All sides. The first is the one that the others are compared with.
pub struct Subjects {
    /// At least two.
    pub all: Vec<Subject>,
    /// Why kernel AIO is not among them.
    pub no_native: Option<String>,
}

/// Finds the libraries, and finds out whether kernel AIO works here.
pub fn find(options: &Options) -> Result<Subjects, Failure> {
    let ours = library::find(options.library.as_deref())?;
    let (mut all, no_native) = match native(options.native.as_deref())? {
        Ok(library) => (vec![Subject { name: NATIVE, library, engine: None }], None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let has_kernel = probe().is_ok();
    let engines = options.engines.iter().filter(|engine| has_kernel || **engine != Engine::Kernel);
    all.extend(engines.map(|engine| Subject {
        name: engine.name(),
        library: ours.path.clone(),
        engine: Some(*engine),
    }));
    match no_native {
        Some(problem) if all.len() < 2 => Err(Failure::Usage(format!(
            "there is nothing to compare with: {problem}; name two engines"
        ))),
        no_native => Ok(Subjects { all, no_native }),
    }
}

/// The libaio that makes kernel AIO calls, or why there is no kernel AIO.
fn native(chosen: Option<&Path>) -> Result<Result<PathBuf, String>, Failure> {
    let library = match chosen {
        Some(path) => Some(inspect(path).map_err(|problem| {
            Failure::Usage(format!("native library '{}': {problem}", path.display()))
        })?),
        None => usual_places().iter().find_map(|path| inspect(path).ok()),
    };
    Ok(match (library, probe()) {
        (_, Err(error)) if error.raw_os_error() == Some(libc::EAGAIN) => {
            Err("kernel AIO is used up (fs.aio-nr has reached fs.aio-max-nr)".to_string())
        }
        (_, Err(error)) => Err(format!("the kernel has no AIO for us: {}", reason(&error))),
        (None, Ok(())) => Err("the system has no libaio.so.1 of its own".to_string()),
        (Some(library), Ok(())) => Ok(library),
    })
}

fn usual_places() -> Vec<PathBuf> {
    let arch = std::env::consts::ARCH;
    let directories = [
        format!("/usr/lib/{arch}-linux-gnu"),
        format!("/lib/{arch}-linux-gnu"),
        "/usr/lib64".to_string(),
        "/lib64".to_string(),
        "/usr/lib".to_string(),
        "/lib".to_string(),
        "/usr/local/lib".to_string(),
    ];
    let names = ["libaio.so.1", "libaio.so.1t64"];
    directories
        .iter()
        .flat_map(|directory| names.map(|name| Path::new(directory).join(name)))
        .collect()
}

/// Checks that `path` is a libaio but not ours; where it really is.
fn inspect(path: &Path) -> Result<PathBuf, String> {
    if library::inspect(path).is_ok() {
        return Err("is uaio's own".to_string());
    }
    let elf = Elf::open(path).map_err(|problem| match problem {
        crate::elf::NotUsable::Unreadable(error) => reason(&error),
        _ => "is no shared library for this machine".to_string(),
    })?;
    for symbol in ["io_setup", "io_submit", "io_getevents"] {
        if !elf.exports(symbol).map_err(|error| reason(&error))? {
            return Err(format!("does not have {symbol}"));
        }
    }
    std::fs::canonicalize(path).map_err(|error| reason(&error))
}

/// Makes a context of kernel AIO, without any library.
fn probe() -> io::Result<()> {
    let mut context = 0_usize;
    // SAFETY: io_setup writes the context into this word, and io_destroy gets what it wrote.
    unsafe {
        if libc::syscall(libc::SYS_io_setup, 1, &raw mut context) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::syscall(libc::SYS_io_destroy, context);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_no_libaio() {
        for (path, words) in [
            ("/nonexistent", "No such file"),
            ("/etc/passwd", "no shared library"),
            ("/proc/self/exe", "does not have io_setup"),
        ] {
            match inspect(Path::new(path)) {
                Err(problem) => assert!(problem.contains(words), "{path}: {problem}"),
                Ok(path) => panic!("{}", path.display()),
            }
        }
    }
}
