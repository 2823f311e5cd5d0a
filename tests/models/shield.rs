//! What `src/waiters` takes from `crate::shield`.

/// `crate::shield::Owner`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub task: u32,
    pub frame: usize,
}
