//! How a request looks to io_uring.

use libc::RWF_NOWAIT;

use crate::completion::Completions;
use crate::engine::work;
use crate::request::decode::Transfer;
use crate::request::{Request, Task};
use crate::sync::Ordering;
use crate::sys::file::Direction;
use crate::sys::uring::Sqe;

/// Marks the completion of a cancellation.
pub const CANCELLATION: u64 = 1 << 63;
const GENERATION_MASK: u32 = 0x3fff_ffff;

/// What names a request in its completion.
pub fn token(request: &Request) -> u64 {
    u64::from(request.generation() & GENERATION_MASK) << 32 | u64::from(request.index())
}

/// The request that a token means, if it still lives.
pub fn request_of(completions: &'static Completions, token: u64) -> Option<&'static Request> {
    let request = completions.slab.get(token as u32)?;
    let generation = (token >> 32) as u32 & GENERATION_MASK;
    (request.generation() & GENERATION_MASK == generation).then_some(request)
}

/// The entry of a request.
pub fn entry(request: &Request) -> Sqe {
    let Some(work) = request.work() else { return Sqe::nop().marked(token(request)) };
    let fd = request.pin().unwrap_or(work.fd);
    let sqe = match &work.task {
        Task::Transfer(transfer) => transfer_entry(transfer, fd, request),
        Task::Sync { data_only } => Sqe::sync(fd, *data_only),
        Task::Poll { .. } => Sqe::nop(),
    };
    sqe.marked(token(request))
}

fn transfer_entry(transfer: &Transfer, fd: i32, request: &Request) -> Sqe {
    let adds_nowait = request.ring.adds_nowait.load(Ordering::Relaxed);
    let mut flags = transfer.flags.bits() | if adds_nowait { RWF_NOWAIT } else { 0 };
    // Where it does not start in the submission, the program may set O_APPEND before.
    if !adds_nowait {
        flags |= work::fixed_position(transfer);
    }
    let offset = transfer.offset as u64;
    let list = transfer.buffer.as_slice();
    let (array, count) = (list.as_ptr().addr() as u64, list.len() as u32);
    let sqe = match (list, transfer.direction) {
        ([one], Direction::Read) => {
            Sqe::read(fd, one.iov_base.addr() as u64, one.iov_len as u32, offset)
        }
        ([one], Direction::Write) => {
            Sqe::write(fd, one.iov_base.addr() as u64, one.iov_len as u32, offset)
        }
        (_, Direction::Read) => Sqe::readv(fd, array, count, offset),
        (_, Direction::Write) => Sqe::writev(fd, array, count, offset),
    };
    sqe.with(flags, transfer.priority.unwrap_or(0))
}
