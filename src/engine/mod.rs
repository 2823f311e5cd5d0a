//! Engines: how reads, writes and syncs are done.
//!
//! *The contract.* [`inline::transfer`] and [`inline::sync`] run in the calling thread and return
//! the outcome. An asynchronous engine takes a request that is already pinned and has two
//! references; it claims the request before it starts, stores the result and puts its reference,
//! in any thread. Until it has started, `cancel` may claim the request in its place.
//!
//! What the kernel does inside io_submit is done in the caller, in the same order, with the same
//! signals and rights; what it does asynchronously goes to the asynchronous engine ([`choose`]).

pub mod choose;
pub mod inline;
pub mod pool;
pub mod stream;

/// How one operation is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By the caller, before io_submit returns.
    Caller,
    /// By the asynchronous engine.
    Asynchronous,
}
