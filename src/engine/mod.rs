//! Engines: how reads, writes and syncs are done.
//!
//! *The contract.* [`inline::transfer`] and [`inline::sync`] run in the calling thread and return
//! the outcome. An asynchronous engine takes a request that has two references, and puts one of them
//! when the outcome is decided, in any thread: it claims the request, stores the result and puts its
//! reference. [`uring`] submits in the calling thread and decides when a completion is taken; the
//! kernel holds the file. [`pool`] has threads and takes requests that are pinned; it serves where
//! io_uring does not. `cancel` may decide in place of the pool until it has started.
//!
//! What the kernel does inside io_submit is done in the caller, in the same order, with the same
//! signals and rights; what it does asynchronously goes to an asynchronous engine ([`choose`]).

pub mod choose;
pub mod inline;
pub mod pool;
pub mod stream;
pub mod uring;
pub mod work;

/// How one operation is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By the caller, before io_submit returns.
    Caller,
    /// By an asynchronous engine.
    Asynchronous,
}
