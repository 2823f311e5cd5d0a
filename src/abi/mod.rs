//! The C face: entry points, the old forms, raw system call callers, symbol versions. No logic.

#![deny(clippy::indexing_slicing)]

pub mod calls;
pub mod compat;
pub mod entry;
pub mod raw;
pub mod symver;
