//! From an iocb to an operation, or to the error that the kernel gives at submission.
//!
//! The order of the checks is that of fs/aio.c: io_submit_one, __io_submit_one, and then aio_read,
//! aio_write, aio_fsync or aio_poll. Nothing here touches the file.

use libc::{RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_HIPRI, RWF_NOWAIT, c_int};

use crate::aio_abi::{
    IOCB_CMD_FDSYNC, IOCB_CMD_FSYNC, IOCB_CMD_POLL, IOCB_CMD_PREAD, IOCB_CMD_PREADV,
    IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV, IOCB_FLAG_IOPRIO, Iocb,
};
use crate::memory::user::Pages;
use crate::request::Task;
use crate::request::buffer::Buffer;
use crate::sys::cred;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::StatusFlags;
use crate::sys::file::{Direction, RWF_NOAPPEND};

/// A read or a write.
#[derive(Debug)]
pub struct Transfer {
    /// Which way.
    pub direction: Direction,
    /// Where in memory.
    pub buffer: Buffer,
    /// Where in the file; not negative.
    pub offset: i64,
    /// `RWF_*`.
    pub flags: RwFlags,
    /// I/O priority, if the iocb gives one.
    pub priority: Option<u16>,
}

/// `RWF_*` flags that the kernel knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RwFlags(c_int);

const RWF_KNOWN: c_int = 0x1ff;

impl RwFlags {
    /// Flags that were checked elsewhere.
    #[cfg(test)]
    pub fn from_bits(bits: c_int) -> RwFlags {
        RwFlags(bits)
    }

    /// For `preadv2` and `pwritev2`.
    pub fn bits(self) -> c_int {
        self.0
    }

    /// RWF_NOWAIT.
    pub fn is_nowait(self) -> bool {
        self.0 & RWF_NOWAIT != 0
    }

    /// RWF_APPEND.
    pub fn is_append(self) -> bool {
        self.0 & RWF_APPEND != 0
    }

    /// Flags that some files refuse with EOPNOTSUPP already at submission.
    pub fn is_file_dependent(self) -> bool {
        self.0 & (RWF_ATOMIC | RWF_DONTCACHE) != 0
    }

    /// RWF_NOAPPEND, which append-only files refuse with EPERM at submission.
    pub fn is_noappend(self) -> bool {
        self.0 & RWF_NOAPPEND != 0
    }

    /// include/linux/fs.h, kiocb_set_rw_flags, as far as the file is not needed.
    fn decode(flags: i32, direction: Direction) -> Result<RwFlags> {
        // divergence: flags of later kernels are refused here.
        if flags & !RWF_KNOWN != 0 {
            return Err(Errno::OPNOTSUPP);
        }
        if flags & RWF_APPEND != 0 && flags & RWF_NOAPPEND != 0 {
            return Err(Errno::INVAL);
        }
        if flags & RWF_ATOMIC != 0 && direction == Direction::Read {
            return Err(Errno::OPNOTSUPP);
        }
        // fs/aio.c, aio_prep_rw: nobody is going to poll for it.
        Ok(RwFlags(flags & !RWF_HIPRI))
    }
}

/// io_submit_one: what is checked before a slot is taken and the file is looked up.
#[inline]
pub fn check_header(iocb: &Iocb) -> Result<()> {
    if iocb.reserved2 != 0 || iocb.nbytes > i64::MAX as u64 {
        return Err(Errno::INVAL);
    }
    Ok(())
}

/// __io_submit_one: the operation of an iocb that is no poll, whose file is open with `status`.
#[inline(always)]
pub fn task(iocb: &Iocb, status: StatusFlags, pages: &mut Pages) -> Result<Task> {
    let transfer = |direction, vectored, pages| {
        transfer(iocb, status, direction, vectored, pages).map(Task::Transfer)
    };
    match iocb.lio_opcode {
        IOCB_CMD_PREAD => transfer(Direction::Read, false, pages),
        IOCB_CMD_PWRITE => transfer(Direction::Write, false, pages),
        IOCB_CMD_PREADV => transfer(Direction::Read, true, pages),
        IOCB_CMD_PWRITEV => transfer(Direction::Write, true, pages),
        IOCB_CMD_FSYNC => sync(iocb, false),
        IOCB_CMD_FDSYNC => sync(iocb, true),
        // Polls are submitted elsewhere ([`poll_events`]); IOCB_CMD_NOOP has a number and no code.
        _ => Err(Errno::INVAL),
    }
}

/// The direction of an iocb that reads or writes.
pub fn direction(iocb: &Iocb) -> Option<Direction> {
    match iocb.lio_opcode {
        IOCB_CMD_PREAD | IOCB_CMD_PREADV => Some(Direction::Read),
        IOCB_CMD_PWRITE | IOCB_CMD_PWRITEV => Some(Direction::Write),
        _ => None,
    }
}

/// Whether the iocb syncs.
pub fn is_sync(iocb: &Iocb) -> bool {
    matches!(iocb.lio_opcode, IOCB_CMD_FSYNC | IOCB_CMD_FDSYNC)
}

/// Whether the iocb is a poll, whose file is looked up together with its readiness.
#[inline]
pub fn is_poll(iocb: &Iocb) -> bool {
    iocb.lio_opcode == IOCB_CMD_POLL
}

/// aio_read and aio_write, up to the call of the file's own function.
#[inline(always)]
fn transfer(
    iocb: &Iocb,
    status: StatusFlags,
    direction: Direction,
    vectored: bool,
    pages: &mut Pages,
) -> Result<Transfer> {
    let priority = priority(iocb)?;
    let flags = RwFlags::decode(iocb.rw_flags, direction)?;
    let is_allowed = match direction {
        Direction::Read => status.is_readable(),
        Direction::Write => status.is_writable(),
    };
    if !is_allowed {
        return Err(Errno::BADF);
    }
    let buffer = match vectored {
        false => Buffer::one(iocb.buf, iocb.nbytes)?,
        true => Buffer::many(iocb.buf, iocb.nbytes, pages)?,
    };
    // fs/read_write.c, rw_verify_area.
    if iocb.offset < 0 || iocb.offset.checked_add_unsigned(buffer.len()).is_none() {
        return Err(Errno::INVAL);
    }
    Ok(Transfer { direction, buffer, offset: iocb.offset, flags, priority })
}

/// block/ioprio.c, ioprio_check_cap.
fn priority(iocb: &Iocb) -> Result<Option<u16>> {
    const CLASS_NONE: u16 = 0;
    const CLASS_REALTIME: u16 = 1;
    const CLASS_IDLE: u16 = 3;
    if iocb.flags & IOCB_FLAG_IOPRIO == 0 {
        return Ok(None);
    }
    let priority = iocb.reqprio as u16;
    let (class, level) = (priority >> 13, priority & 7);
    match class {
        CLASS_NONE if level != 0 => Err(Errno::INVAL),
        CLASS_REALTIME if !cred::may_use_realtime_io() => Err(Errno::PERM),
        CLASS_NONE..=CLASS_IDLE => Ok(Some(priority)),
        _ => Err(Errno::INVAL),
    }
}

/// aio_fsync.
fn sync(iocb: &Iocb, data_only: bool) -> Result<Task> {
    if iocb.buf != 0 || iocb.offset != 0 || iocb.nbytes != 0 || iocb.rw_flags != 0 {
        return Err(Errno::INVAL);
    }
    Ok(Task::Sync { data_only })
}

/// aio_poll: the mask of a poll.
pub fn poll_events(iocb: &Iocb) -> Result<u16> {
    /// The bits that poll(2) and epoll know; the kernel drops others of the 16.
    const KNOWN: u16 = 0x27df;
    let events = u16::try_from(iocb.buf).map_err(|_| Errno::INVAL)?;
    if iocb.offset != 0 || iocb.nbytes != 0 || iocb.rw_flags != 0 {
        return Err(Errno::INVAL);
    }
    Ok(events & KNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fd;
    use libc::iovec;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    fn read_only() -> StatusFlags {
        let file = File::open("/dev/null").unwrap();
        fd::status_flags(file.as_raw_fd()).unwrap()
    }

    fn decode(iocb: Iocb) -> Result<Task> {
        check_header(&iocb)?;
        task(&iocb, read_only(), &mut Pages::new())
    }

    fn errno(iocb: Iocb) -> Errno {
        decode(iocb).unwrap_err()
    }

    const KERNEL: u64 = 1 << 63;

    #[test]
    fn a_good_read_keeps_its_fields() {
        let mut bytes = [0u8; 16];
        let buf = (&raw mut bytes).addr() as u64;
        let iocb = Iocb { buf, nbytes: 16, offset: 5, ..Iocb::default() };
        let Ok(Task::Transfer(transfer)) = decode(iocb) else { panic!() };
        assert_eq!((transfer.direction, transfer.offset), (Direction::Read, 5));
        assert_eq!(transfer.buffer.len(), 16);
    }

    #[test]
    fn header_is_checked_first() {
        let bad = Iocb { fildes: -1, lio_opcode: 99, ..Iocb::default() };
        assert_eq!(check_header(&Iocb { reserved2: 1, ..bad }), Err(Errno::INVAL));
        assert_eq!(check_header(&Iocb { nbytes: 1 << 63, ..bad }), Err(Errno::INVAL));
        assert_eq!(check_header(&bad), Ok(()));
    }

    #[test]
    fn flags_come_before_the_mode_and_the_mode_before_the_buffer() {
        let write = Iocb { lio_opcode: IOCB_CMD_PWRITE, ..Iocb::default() };
        assert_eq!(errno(Iocb { rw_flags: 0x200, ..write }), Errno::OPNOTSUPP);
        assert_eq!(errno(Iocb { buf: KERNEL, ..write }), Errno::BADF);
        assert_eq!(errno(Iocb { offset: -1, ..write }), Errno::BADF);
        let prio = Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: 7 << 13, ..write };
        assert_eq!(errno(prio), Errno::INVAL);
    }

    #[test]
    fn the_buffer_comes_before_the_offset() {
        let read = Iocb { buf: KERNEL, offset: -1, ..Iocb::default() };
        assert_eq!(errno(read), Errno::FAULT);
        assert_eq!(errno(Iocb { buf: 0, ..read }), Errno::INVAL);
        let overflow = Iocb { nbytes: 2, offset: i64::MAX, ..Iocb::default() };
        assert_eq!(errno(overflow), Errno::INVAL);
        assert!(decode(Iocb { nbytes: 0, ..overflow }).is_ok());
    }

    #[test]
    fn opcodes_without_code_are_invalid() {
        for lio_opcode in [4, 6, 9, 99, u16::MAX] {
            assert_eq!(errno(Iocb { lio_opcode, ..Iocb::default() }), Errno::INVAL);
        }
    }

    #[test]
    fn sync_takes_no_arguments() {
        let sync = Iocb { lio_opcode: IOCB_CMD_FSYNC, ..Iocb::default() };
        assert!(matches!(decode(sync), Ok(Task::Sync { data_only: false })));
        for bad in [
            Iocb { buf: 1, ..sync },
            Iocb { nbytes: 1, ..sync },
            Iocb { offset: 1, ..sync },
            Iocb { rw_flags: 1, ..sync },
        ] {
            assert_eq!(errno(bad), Errno::INVAL);
        }
        // Its priority is not looked at.
        let prio = Iocb { flags: IOCB_FLAG_IOPRIO, reqprio: -1, ..sync };
        assert!(decode(prio).is_ok());
    }

    #[test]
    fn poll_masks_are_sixteen_bits_and_unknown_ones_are_dropped() {
        let poll = Iocb { lio_opcode: IOCB_CMD_POLL, ..Iocb::default() };
        let events = |iocb| poll_events(&iocb);
        assert_eq!(events(Iocb { buf: 0x1_0000, ..poll }), Err(Errno::INVAL));
        assert_eq!(events(Iocb { buf: 1, offset: 1, ..poll }), Err(Errno::INVAL));
        assert_eq!(events(Iocb { buf: 0x1001, ..poll }), Ok(1));
        assert_eq!(events(Iocb { buf: 0xffff, ..poll }), Ok(0x27df));
    }

    #[test]
    fn priorities_follow_ioprio_check_cap() {
        let with = |reqprio: u16| Iocb {
            flags: IOCB_FLAG_IOPRIO,
            reqprio: reqprio as i16,
            ..Iocb::default()
        };
        assert!(decode(with(0)).is_ok());
        assert_eq!(errno(with(1)), Errno::INVAL);
        assert!(decode(with(2 << 13 | 9)).is_ok());
        assert!(decode(with(3 << 13)).is_ok());
        assert_eq!(errno(with(4 << 13)), Errno::INVAL);
    }

    #[test]
    fn vectors_are_copied_and_checked() {
        let mut byte = 0u8;
        let good = iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let list = [good; 12];
        let readv = |nbytes| Iocb {
            lio_opcode: IOCB_CMD_PREADV,
            buf: list.as_ptr().addr() as u64,
            nbytes,
            ..Iocb::default()
        };
        let len = |iocb| match decode(iocb) {
            Ok(Task::Transfer(transfer)) => {
                (transfer.buffer.as_slice().len(), transfer.buffer.len())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(len(readv(0)), (0, 0));
        assert_eq!(len(readv(3)), (3, 3));
        assert_eq!(len(readv(12)), (12, 12));
        assert_eq!(len(readv(1 << 32 | 1)), (1, 1));
        assert_eq!(errno(readv(1025)), Errno::INVAL);
        assert_eq!(errno(Iocb { buf: 8, ..readv(1) }), Errno::FAULT);
        let negative = [good, iovec { iov_len: usize::MAX, ..good }];
        let buf = negative.as_ptr().addr() as u64;
        assert_eq!(errno(Iocb { buf, ..readv(2) }), Errno::INVAL);
    }
}
