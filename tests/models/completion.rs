//! `src/completion/ring/queue.rs` and `src/completion/waiters`.

/// What `queue.rs` takes from its neighbours, and its model.
#[path = "ring.rs"]
pub mod ring;
#[allow(unused_imports)]
#[path = "../../src/completion/waiters/mod.rs"]
pub mod waiters;
