//! The requests of a workload, one after the other.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

use aio::aio_abi::{
    Event, IOCB_CMD_FDSYNC, IOCB_CMD_PREAD, IOCB_CMD_PWRITE, IOCB_FLAG_RESFD, Iocb,
};

use super::super::random::Random;
use super::offsets::Offsets;
use super::phase::Recorder;
use super::slots::{Slot, Slots};
use super::{Outcome, Stop, fail};

/// The unit of the marks in the data file. Block `n` begins with `n + 1`.
const BLOCK: u64 = 4096;

/// Fills slots with requests for one file.
pub struct Requests {
    /// Which places, in units of `size`.
    pub offsets: Offsets,
    /// Bytes of one request.
    pub size: u64,
    /// What each is: a read or a write.
    pub opcode: u16,
    /// Whether an fdsync follows on each write.
    pub syncs: bool,
    /// Whether reads are looked at.
    pub verifies: bool,
    fd: RawFd,
    resfd: Option<RawFd>,
}

impl Requests {
    /// Requests for `file`, which must stay open.
    pub fn new(file: &File, opcode: u16, offsets: Offsets, size: usize) -> Requests {
        let (fd, size) = (file.as_raw_fd(), size as u64);
        Requests { offsets, size, opcode, syncs: false, verifies: false, fd, resfd: None }
    }

    /// Random reads of 4 KiB, anywhere in the first `bytes`. Each `seed` gives others.
    pub fn random_reads(file: &File, bytes: u64, seed: u64) -> Requests {
        let random = Random::new(0x9e37_79b9 * (seed + 1));
        let offsets = Offsets::Random { random, blocks: bytes / BLOCK };
        Requests::new(file, IOCB_CMD_PREAD, offsets, BLOCK as usize)
    }

    /// Each request adds 1 to this eventfd.
    pub fn announce(&mut self, resfd: RawFd) {
        self.resfd = Some(resfd);
    }

    /// Slots for these requests.
    pub fn slots(&self, count: usize) -> Slots {
        Slots::new(count, self.size as usize)
    }

    /// Fills a slot with the next request; false if there is none.
    pub fn prepare(&mut self, slot: &mut Slot) -> bool {
        if self.syncs && slot.iocb.lio_opcode == IOCB_CMD_PWRITE {
            let (data, fildes) = (slot.iocb.data, self.fd);
            slot.iocb = Iocb { data, fildes, lio_opcode: IOCB_CMD_FDSYNC, ..Iocb::default() };
            slot.expected = 0;
            return true;
        }
        let Some(place) = self.offsets.next() else { return false };
        let offset = place * self.size;
        let iocb = &mut slot.iocb;
        iocb.lio_opcode = self.opcode;
        iocb.fildes = self.fd;
        iocb.buf = slot.buffer as u64;
        iocb.nbytes = self.size;
        iocb.offset = offset as i64;
        if let Some(resfd) = self.resfd {
            iocb.flags = IOCB_FLAG_RESFD;
            iocb.resfd = resfd;
        }
        slot.expected = self.size as i64;
        if self.opcode == IOCB_CMD_PWRITE {
            slot.put_marks(offset / BLOCK + 1);
        } else if self.verifies {
            slot.put_marks(0);
        }
        true
    }

    /// Whether a filled slot goes on with what its last request began.
    pub fn continues(&self, slot: &Slot) -> bool {
        self.syncs && slot.iocb.lio_opcode == IOCB_CMD_FDSYNC
    }

    /// Whether a slot's operation is done with this request.
    pub fn completes(&self, slot: &Slot) -> bool {
        !self.syncs || slot.iocb.lio_opcode == IOCB_CMD_FDSYNC
    }

    /// Looks at what a request has done.
    pub fn verify(&self, slot: &Slot) -> Outcome {
        if !self.verifies || self.opcode != IOCB_CMD_PREAD {
            return Ok(());
        }
        let (mark, expected) = (slot.mark(), slot.iocb.offset as u64 / BLOCK + 1);
        if mark == expected {
            return Ok(());
        }
        Err(Stop::Fail(format!("a read gave block {mark} instead of {expected}")))
    }

    /// Records an operation whose event was reaped at `end`, once it is clear that all is right; the
    /// index of its slot, which is free.
    pub fn finish(
        &self,
        slots: &mut Slots,
        event: &Event,
        end: u64,
        recorder: &mut Recorder,
    ) -> Outcome<usize> {
        let (index, slot) = slots.claim(event)?;
        if let Some(start) = slot.start {
            recorder.latency.add(end - start);
        }
        self.verify(slot)?;
        recorder.ops += 1;
        recorder.events += 1;
        Ok(index)
    }
}

/// An eventfd that is not read by anybody else.
pub fn eventfd(flags: i32) -> Outcome<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: makes a descriptor, which is then ours.
    unsafe {
        match libc::eventfd(0, flags | libc::EFD_CLOEXEC) {
            -1 => match std::io::Error::last_os_error().raw_os_error() {
                Some(libc::EMFILE) => Err(Stop::Skip(
                    "the limit of open files (RLIMIT_NOFILE) is too small".to_string(),
                )),
                errno => fail("eventfd", errno.unwrap_or(0)),
            },
            fd => Ok(std::os::fd::OwnedFd::from_raw_fd(fd)),
        }
    }
}
