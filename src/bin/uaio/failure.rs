//! How the command ends when it does not succeed.

use std::ffi::c_int;
use std::io;

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// Bad input; nothing was done. Exit status 2.
    Usage(String),
    /// What was asked for went wrong. Exit status 1.
    Job(String),
    /// This signal stopped us, and we die of it once everything is cleaned up.
    Signal(c_int),
}

impl Failure {
    /// A job that failed with `error`, doing `what`.
    pub fn io(what: impl std::fmt::Display, error: &io::Error) -> Failure {
        Failure::Job(format!("{what}: {}", reason(error)))
    }
}

/// The system's text for an error, without Rust's "(os error 2)".
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}
