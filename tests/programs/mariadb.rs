//! MariaDB, which calls io_submit of libaio and io_getevents by `syscall`.

use super::Run;
use super::support::{Outcome, fail, installed, repository, shown};

/// A server with InnoDB on libaio: rows are loaded, and found again after a restart.
pub fn mariadb(run: &Run) -> Outcome {
    for program in ["mariadbd", "mariadb", "mariadb-install-db"] {
        installed(program)?;
    }
    run.needs_direct_io()?;
    let script = shown(repository("tests/programs/mariadb.sh"));
    let ended = run.program("sh", &[&script])?;
    let lines: Vec<_> = ended.stdout.lines().collect();
    match lines[..] {
        [loaded, found] if loaded == found && loaded.starts_with("50000\t") => Ok(()),
        _ => fail(ended.report()),
    }
}
