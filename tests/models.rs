//! Small concurrent parts of the library under every interleaving and every order of memory that
//! loom knows, up to a bound of preemptions.
//!
//! The sources are the library's own; here their atomics and locks are loom's. What stands around
//! them in the library is played by the models: each says what it is a model of.

#![allow(clippy::unwrap_used, dead_code)]

#[path = "models/completion.rs"]
mod completion;
#[path = "models/crew.rs"]
mod crew;
/// `src/engine/idle.rs`.
#[path = "models/engine.rs"]
mod engine;
/// What `src/completion/waiters` takes from `crate::files`.
#[path = "models/files.rs"]
mod files;
#[path = "models/idle.rs"]
mod idle;
/// What `src/completion/waiters` takes from `crate::kaio`.
#[path = "models/kaio.rs"]
mod kaio;
/// What the sources take from `crate::lock`.
#[path = "models/lock.rs"]
mod lock;
/// What `src/completion/waiters` takes from `crate::memory`.
#[path = "models/memory.rs"]
mod memory;
/// `src/process/crew.rs`, `src/process/rundown.rs`, and what `src/completion/waiters` takes from `crate::process`.
#[path = "models/process.rs"]
mod process;
#[path = "models/request.rs"]
mod request;
#[path = "models/rundown.rs"]
mod rundown;
#[path = "models/sleep.rs"]
mod sleep;
/// What the sources take from `crate::sync`.
#[path = "models/sync.rs"]
mod sync;
/// What `src/completion/waiters` takes from `crate::sys`.
#[path = "models/sys.rs"]
mod sys;
/// What `src/completion/waiters` takes from `crate::uring`.
#[path = "models/uring.rs"]
mod uring;

/// What `src/completion/ring/queue.rs` takes from `crate::aio_abi`.
mod aio_abi {
    /// An event, by what the program gave its request.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Event(pub u64);
}

/// Runs `model` in every order with at most `preemptions` switches away from a thread that could
/// have gone on.
fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(model);
}
