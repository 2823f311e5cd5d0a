//! libaio.so.1 in user space: what programs submit to kernel AIO is done here instead.
//!
//! A program's iocb goes to the kernel's own AIO as it is, or becomes a *request*; a request is
//! done by an *engine* or armed in the *poller*; whoever drops its last reference posts one *event*
//! to the context's completion *ring*; the program reaps it.
//!
//! ```text
//!   io_submit ─► abi ─► context/submit ─┬─► engine: kernel
//!                                       └─► request (decode, pin) ─┬─► engine: inline, uring, pool
//!                                                                  └─► poller (epoll)
//!   io_getevents ◄─ abi ◄─ context/getevents ◄─ ring ◄─ completion ◄─── last reference dropped
//!   io_cancel ─► abi ─► context/cancel: found under the lock, done outside it ─► engine or poller
//! ```
//!
//! Modules, bottom first; each uses only those before it: `aio_abi`, `sync`, `sys`, `config`,
//! `lock`, `process`, `memory`, `files`, `uring`, `kaio`, `request`, `completion`, `engine`,
//! `poller`, `harvester`, `context`, `registry`, `lifecycle`, `abi`.
//!
//! The C interface is in `include/libaio.h`. Public in Rust is only what the command and the
//! benchmarks of this package use.

mod abi;
pub mod aio_abi;
mod completion;
mod config;
mod context;
mod engine;
mod files;
mod harvester;
mod kaio;
pub mod lifecycle;
mod lock;
mod memory;
mod poller;
mod process;
pub mod registry;
mod request;
mod sync;
mod sys;
mod uring;
