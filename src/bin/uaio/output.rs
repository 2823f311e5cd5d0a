//! Standard output and standard error, for readers that may go away.

use std::io::{self, Write};

use crate::failure::Failure;

/// Prints `text` as it is. A reader that has seen enough is no failure, a full disk is.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("standard output", &error))
        }
        _ => Ok(()),
    }
}

/// Prints an error. There is nowhere to report that it could not be printed.
pub fn complain(message: &str) {
    remark(&format!("uaio: {message}\n"));
}

/// Prints `text` as it is on standard error, at once.
pub fn remark(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
