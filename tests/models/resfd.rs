//! What `src/waiters` takes from `crate::resfd`.

/// `crate::resfd::Note`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note;
