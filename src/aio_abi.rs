//! The structures that programs, the ring memory and the kernel's headers share.
//!
//! Layout and names are those of `<linux/aio_abi.h>`; the C face (`struct iocb` with its unions) is
//! in `include/libaio.h`, and a test compares the two field by field.

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("uaio: struct iocb is laid out here for 64-bit little-endian machines only");

use core::mem::{offset_of, size_of};

/// What a program asks for: one operation on one file.
///
/// `repr(C)` as in `struct iocb` of `<linux/aio_abi.h>`; 64 bytes. Programs own it; the library
/// copies it once at submission and writes only `key`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Iocb {
    /// The program's own value, copied to the event.
    pub data: u64,
    /// Written 0 at submission; must be 0 at cancellation.
    pub key: u32,
    /// `RWF_*` flags of reads and writes.
    pub rw_flags: i32,
    /// One of the `IOCB_CMD_*` numbers.
    pub lio_opcode: u16,
    /// I/O priority, looked at only with [`IOCB_FLAG_IOPRIO`].
    pub reqprio: i16,
    /// The file descriptor to work on.
    pub fildes: i32,
    /// Address of the buffer or of the `iovec` array; the poll mask for a poll.
    pub buf: u64,
    /// Bytes in the buffer, or elements of the `iovec` array.
    pub nbytes: u64,
    /// Position in the file, in bytes.
    pub offset: i64,
    /// Must be 0.
    pub reserved2: u64,
    /// [`IOCB_FLAG_RESFD`] and [`IOCB_FLAG_IOPRIO`]; other bits are ignored.
    pub flags: u32,
    /// The eventfd to add 1 to at completion, with [`IOCB_FLAG_RESFD`].
    pub resfd: i32,
}

/// One completion, as it stands in the ring and as `io_getevents` returns it; 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// [`Iocb::data`] at submission.
    pub data: u64,
    /// Address of the program's iocb.
    pub obj: u64,
    /// Bytes transferred, ready poll events, 0, or a negated errno.
    pub res: i64,
    /// Always 0.
    pub res2: i64,
}

/// Header of the completion ring at the context's address; `nr` events follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct AioRing {
    /// Names the context; the kernel uses a table index.
    pub id: u32,
    /// Number of event slots.
    pub nr: u32,
    /// Index of the next event to reap; programs may advance it.
    pub head: u32,
    /// Index of the next slot to fill.
    pub tail: u32,
    /// [`AIO_RING_MAGIC`] where programs may reap by themselves, else 0.
    pub magic: u32,
    /// 1.
    pub compat_features: u32,
    /// 0.
    pub incompat_features: u32,
    /// Bytes before the first event: 32.
    pub header_length: u32,
}

/// `aio_ring.magic` of the kernel's rings.
pub const AIO_RING_MAGIC: u32 = 0xa10a_10a1;

/// `aio_lio_opcode`: read into one buffer.
pub const IOCB_CMD_PREAD: u16 = 0;
/// `aio_lio_opcode`: write from one buffer.
pub const IOCB_CMD_PWRITE: u16 = 1;
/// `aio_lio_opcode`: `fsync`.
pub const IOCB_CMD_FSYNC: u16 = 2;
/// `aio_lio_opcode`: `fdatasync`.
pub const IOCB_CMD_FDSYNC: u16 = 3;
/// `aio_lio_opcode`: wait for readiness, once.
pub const IOCB_CMD_POLL: u16 = 5;
/// `aio_lio_opcode`: read into an `iovec` array.
pub const IOCB_CMD_PREADV: u16 = 7;
/// `aio_lio_opcode`: write from an `iovec` array.
pub const IOCB_CMD_PWRITEV: u16 = 8;

/// `aio_flags`: add 1 to the eventfd `aio_resfd` at completion.
pub const IOCB_FLAG_RESFD: u32 = 1;
/// `aio_flags`: `aio_reqprio` is valid.
pub const IOCB_FLAG_IOPRIO: u32 = 2;

const _: () = {
    assert!(size_of::<Iocb>() == 64);
    assert!(size_of::<Event>() == 32);
    assert!(size_of::<AioRing>() == 32);
    assert!(offset_of!(Iocb, key) == 8);
    assert!(offset_of!(Iocb, rw_flags) == 12);
    assert!(offset_of!(Iocb, lio_opcode) == 16);
    assert!(offset_of!(Iocb, reqprio) == 18);
    assert!(offset_of!(Iocb, fildes) == 20);
    assert!(offset_of!(Iocb, buf) == 24);
    assert!(offset_of!(Iocb, nbytes) == 32);
    assert!(offset_of!(Iocb, offset) == 40);
    assert!(offset_of!(Iocb, reserved2) == 48);
    assert!(offset_of!(Iocb, flags) == 56);
    assert!(offset_of!(Iocb, resfd) == 60);
    assert!(offset_of!(AioRing, head) == 8);
    assert!(offset_of!(AioRing, tail) == 12);
    assert!(offset_of!(AioRing, magic) == 16);
};
