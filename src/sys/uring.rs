//! io_uring(7): set-up, entry, registration, and the layout of its entries.
//!
//! A layer of our own instead of the crate `io-uring`: that one calls the kernel through libc's
//! `syscall`, which writes the program's `errno` and which this library exports, cannot enter by a
//! registered number, and closes the descriptor with the mapping, whoever has it by then.

use core::mem::offset_of;

use libc::{SYS_io_uring_enter, SYS_io_uring_register, SYS_io_uring_setup, c_int, timespec};
use linux_raw_sys::io_uring::{
    IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_ENTER_REGISTERED_RING,
    io_uring_getevents_arg, io_uring_op, io_uring_params, io_uring_register_op,
    io_uring_rsrc_update, io_uring_sqe,
};

use crate::sys::errno::{Errno, Result};
use crate::sys::fd::OwnedFd;
use crate::sys::poll::SigSet;
use crate::sys::raw::syscall;

/// `struct io_uring_sqe`, with the members of its unions that are used here.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    op_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

const _: () = assert!(size_of::<Sqe>() == size_of::<io_uring_sqe>());
const _: () = assert!(offset_of!(Sqe, user_data) == offset_of!(io_uring_sqe, user_data));
const _: () = assert!(offset_of!(Sqe, len) == offset_of!(io_uring_sqe, len));

/// `struct io_uring_cqe`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Cqe {
    /// That of the submission.
    pub user_data: u64,
    /// The result, or a negative error number.
    pub res: i32,
    flags: u32,
}

impl Sqe {
    fn new(opcode: io_uring_op) -> Sqe {
        Sqe { opcode: opcode as u8, fd: -1, ..Sqe::default() }
    }

    /// Does nothing, at once.
    pub fn nop() -> Sqe {
        Sqe::new(io_uring_op::IORING_OP_NOP)
    }

    /// Reads `len` bytes at `offset` of `fd` to `addr`.
    pub fn read(fd: c_int, addr: u64, len: u32, offset: u64) -> Sqe {
        Sqe { fd, addr, len, off: offset, ..Sqe::new(io_uring_op::IORING_OP_READ) }
    }

    /// Writes `len` bytes from `addr` to `fd` at `offset`.
    pub fn write(fd: c_int, addr: u64, len: u32, offset: u64) -> Sqe {
        Sqe { fd, addr, len, off: offset, ..Sqe::new(io_uring_op::IORING_OP_WRITE) }
    }

    /// Reads to the `len` ranges of the `iovec` array at `addr`.
    pub fn readv(fd: c_int, addr: u64, len: u32, offset: u64) -> Sqe {
        Sqe { fd, addr, len, off: offset, ..Sqe::new(io_uring_op::IORING_OP_READV) }
    }

    /// Writes from the `len` ranges of the `iovec` array at `addr`.
    pub fn writev(fd: c_int, addr: u64, len: u32, offset: u64) -> Sqe {
        Sqe { fd, addr, len, off: offset, ..Sqe::new(io_uring_op::IORING_OP_WRITEV) }
    }

    /// With what comes back in the completion.
    pub fn marked(self, user_data: u64) -> Sqe {
        Sqe { user_data, ..self }
    }

    /// With `RWF_*` flags and an I/O priority (0: the thread's own).
    pub fn with(self, flags: c_int, priority: u16) -> Sqe {
        Sqe { op_flags: flags as u32, ioprio: priority, ..self }
    }

    /// `fsync`, or `fdatasync` with `data_only`.
    pub fn sync(fd: c_int, data_only: bool) -> Sqe {
        /// IORING_FSYNC_DATASYNC, <linux/io_uring.h>.
        const DATASYNC: u32 = 1;
        let op_flags = if data_only { DATASYNC } else { 0 };
        Sqe { fd, op_flags, ..Sqe::new(io_uring_op::IORING_OP_FSYNC) }
    }

    /// Cancels what was submitted with `user_data`, if it has not begun.
    pub fn cancel(user_data: u64) -> Sqe {
        Sqe { addr: user_data, ..Sqe::new(io_uring_op::IORING_OP_ASYNC_CANCEL) }
    }
}

/// A new instance. EINVAL: the kernel does not know the flags in `params`.
pub fn setup(entries: u32, params: &mut io_uring_params) -> Result<OwnedFd> {
    // SAFETY: the kernel reads and writes one `struct io_uring_params`.
    let fd = unsafe { syscall!(SYS_io_uring_setup, entries, core::ptr::from_mut(params)) }?;
    Ok(OwnedFd::from_raw(fd as c_int))
}

/// How an instance is named to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// By its descriptor.
    Descriptor(c_int),
    /// By the place in which the calling thread has registered it.
    Registered(u32),
}

impl Name {
    fn parts(self) -> (usize, u32) {
        match self {
            Name::Descriptor(fd) => (fd as usize, 0),
            Name::Registered(place) => (place as usize, IORING_ENTER_REGISTERED_RING),
        }
    }
}

/// Submits `count` entries of the submission queue; how many were consumed.
#[inline]
pub fn submit(ring: Name, count: u32) -> Result<usize> {
    let (number, flags) = ring.parts();
    // SAFETY: no pointer; what the entries point to is their maker's matter.
    unsafe { syscall!(SYS_io_uring_enter, number, count, 0, flags, 0, 0) }
}

/// Runs what the kernel has put off for this thread, and moves what did not fit into the completion
/// queue there.
pub fn flush(ring: Name) -> Result<()> {
    let (number, flags) = ring.parts();
    let flags = flags | IORING_ENTER_GETEVENTS;
    // SAFETY: no pointer.
    unsafe { syscall!(SYS_io_uring_enter, number, 0, 0, flags, 0, 0) }.map(|_| ())
}

/// Waits until `count` more completions have been posted than were taken when the call began, at
/// most `timeout`, with `mask` in force meanwhile. ETIME: it took too long; EINTR: a signal came.
pub fn wait(
    ring: Name,
    count: u32,
    timeout: Option<&timespec>,
    mask: Option<&SigSet>,
) -> Result<()> {
    let address = |pointer: Option<usize>| pointer.unwrap_or(0) as u64;
    let argument = io_uring_getevents_arg {
        sigmask: address(mask.map(|mask| core::ptr::from_ref(mask).addr())),
        sigmask_sz: size_of::<SigSet>() as u32,
        min_wait_usec: 0,
        ts: address(timeout.map(|timeout| core::ptr::from_ref(timeout).addr())),
    };
    let (number, flags) = ring.parts();
    let flags = flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    // SAFETY: the kernel reads the argument, and the mask and the timeout that it points to.
    unsafe {
        syscall!(
            SYS_io_uring_enter,
            number,
            0,
            count,
            flags,
            &raw const argument,
            size_of::<io_uring_getevents_arg>()
        )
    }
    .map(|_| ())
}

/// Lets the kernel's workers for the calling thread run on `cpu` only.
pub fn set_io_wq_cpu(ring: Name, cpu: u32) -> Result<()> {
    const BITS: u32 = usize::BITS;
    let mut mask = [0usize; 1024 / BITS as usize];
    *mask.get_mut((cpu / BITS) as usize).ok_or(Errno::INVAL)? = 1 << (cpu % BITS);
    let operation = io_uring_register_op::IORING_REGISTER_IOWQ_AFF as u32;
    let (number, flags) = match ring {
        Name::Descriptor(fd) => (fd as usize, 0),
        Name::Registered(place) => {
            (place as usize, io_uring_register_op::IORING_REGISTER_USE_REGISTERED_RING as u32)
        }
    };
    let len = size_of_val(&mask);
    // SAFETY: the kernel reads `len` bytes of the mask.
    unsafe { syscall!(SYS_io_uring_register, number, operation | flags, mask.as_ptr(), len) }
        .map(|_| ())
}

fn update_ring(number: usize, operation: u32, place: u32, data: u64) -> Result<u32> {
    let mut update = io_uring_rsrc_update { offset: place, resv: 0, data };
    // SAFETY: the kernel reads and writes one `struct io_uring_rsrc_update`.
    let done = unsafe { syscall!(SYS_io_uring_register, number, operation, &raw mut update, 1) }?;
    if done == 1 { Ok(update.offset) } else { Err(Errno::INVAL) }
}

/// Registers an instance with the calling thread; its place there.
pub fn register_ring(fd: c_int) -> Result<u32> {
    let operation = io_uring_register_op::IORING_REGISTER_RING_FDS as u32;
    update_ring(fd as usize, operation, u32::MAX, fd as u64)
}

/// Empties a place of the calling thread. Needs IORING_FEAT_REG_REG_RING.
pub fn unregister_ring(place: u32) -> Result<()> {
    let operation = io_uring_register_op::IORING_UNREGISTER_RING_FDS as u32
        | io_uring_register_op::IORING_REGISTER_USE_REGISTERED_RING as u32;
    update_ring(place as usize, operation, place, 0).map(|_| ())
}
