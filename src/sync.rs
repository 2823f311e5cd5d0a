//! Atomics, fences, thread-local variables and threads: the only importer of `core::sync`,
//! `std::sync` and `std::thread`.

pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    compiler_fence, fence,
};
/// Variables of a thread.
pub use std::thread_local;
