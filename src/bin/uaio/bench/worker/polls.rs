//! Polls of eventfds, armed anew in each round.
//!
//! A round makes each descriptor ready by a write and takes that back by a read, which costs more
//! than the poll. So the same rounds are run without polls, too, right before the ones that count.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use aio::aio_abi::{Event, IOCB_CMD_POLL, Iocb};

use super::libaio::{Context, Libaio};
use super::phase::{self, Phase, now};
use super::slots::{Slots, check};
use super::{Load, Outcome, Stop, fail_last, requests};

/// How many of the phase's time the rounds without polls take: one of so many.
const BASELINE_PART: u64 = 4;
/// Descriptors for everything else.
const MARGIN: usize = 100;
/// Polls of one io_submit, for the idle ones.
const BATCH: usize = 500;

/// Polls on one context.
pub struct Polls<'a> {
    context: Context<'a>,
    slots: Slots,
    fds: Vec<OwnedFd>,
    ready_first: bool,
    baseline_ns: Option<f64>,
    /// Must stay open, and never becomes ready.
    _idle: Vec<OwnedFd>,
}

impl<'a> Polls<'a> {
    /// Polls on `fds` descriptors, beside `idle` that never end.
    pub fn prepare(
        fds: usize,
        idle: usize,
        ready_first: bool,
        library: &'a Libaio,
    ) -> Outcome<Polls<'a>> {
        let (idle_files, limit) = (idle_files(fds, idle), descriptor_limit());
        if idle_files < idle / 2 || limit < (2 * fds + MARGIN) as u64 {
            return Err(Stop::Skip(format!(
                "the limit of open files (RLIMIT_NOFILE) is {limit}, {} are needed",
                2 * fds + idle + idle / 2 + MARGIN
            )));
        }
        let context = library.setup(fds + idle)?;
        let make = |count| -> Outcome<Vec<OwnedFd>> {
            (0..count).map(|_| requests::eventfd(libc::EFD_NONBLOCK)).collect()
        };
        let (fds, idle_fds) = (make(fds)?, make(idle_files)?);
        let armed = poll_slots(&idle_fds, idle)?;
        let pointers: Vec<*mut Iocb> = (0..idle).map(|index| armed.iocb(index)).collect();
        for batch in pointers.chunks(BATCH) {
            // SAFETY: slots live as long as the process.
            unsafe { context.submit(batch)? };
        }
        let slots = poll_slots(&fds, fds.len())?;
        Ok(Polls { context, slots, fds, ready_first, baseline_ns: None, _idle: idle_fds })
    }

    fn write_all(&self) -> Outcome {
        self.fds.iter().try_for_each(|fd| write(fd.as_raw_fd()))
    }

    fn read_all(&self) -> Outcome {
        self.fds.iter().try_for_each(|fd| read(fd.as_raw_fd()))
    }

    /// CPU time of a write and a read, in rounds without polls.
    fn measure_baseline(&mut self, length: u64) -> Outcome {
        let (start, (user, system)) = (now(), phase::cpu());
        let mut pairs = 0;
        while now() - start < length {
            // As often as the clock is read in rounds with polls, at least.
            for _ in 0..8 {
                self.write_all()?;
                self.read_all()?;
            }
            pairs += 8 * self.fds.len() as u64;
        }
        let (user_now, system_now) = phase::cpu();
        let spent = (user_now + system_now).saturating_sub(user + system);
        self.baseline_ns = Some(spent as f64 / pairs as f64);
        Ok(())
    }
}

/// Descriptors for `idle` polls. Where the limit is low, some have two of them: a library may need
/// a descriptor for each poll, too.
fn idle_files(fds: usize, idle: usize) -> usize {
    let limit = usize::try_from(descriptor_limit()).unwrap_or(usize::MAX);
    idle.min(limit.saturating_sub(idle + 2 * fds + MARGIN))
}

/// `count` polls, in turns on these descriptors.
fn poll_slots(fds: &[OwnedFd], count: usize) -> Outcome<Slots> {
    let mut slots = Slots::new(count, 1);
    for (index, fd) in fds.iter().cycle().take(count).enumerate() {
        let slot = slots.get(index)?;
        slot.iocb = Iocb {
            data: index as u64,
            lio_opcode: IOCB_CMD_POLL,
            fildes: fd.as_raw_fd(),
            buf: libc::POLLIN as u64,
            ..Iocb::default()
        };
        slot.expected = libc::POLLIN.into();
    }
    Ok(slots)
}

fn write(fd: RawFd) -> Outcome {
    let one = 1_u64;
    // SAFETY: writes the eight bytes of `one`.
    match unsafe { libc::write(fd, (&raw const one).cast(), 8) } {
        8 => Ok(()),
        _ => fail_last("write to an eventfd"),
    }
}

fn read(fd: RawFd) -> Outcome {
    let mut count = 0_u64;
    // SAFETY: there is room for eight bytes.
    match unsafe { libc::read(fd, (&raw mut count).cast(), 8) } {
        8 if count == 1 => Ok(()),
        8 => Err(Stop::Fail(format!("an eventfd counted {count} instead of 1"))),
        _ => fail_last("read of an eventfd"),
    }
}

fn descriptor_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills this structure.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur
}

impl Load for Polls<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        phase.pause();
        self.measure_baseline(phase.length() / BASELINE_PART)?;
        phase.resume();
        let deadline = phase.deadline();
        let count = self.slots.len();
        let pointers: Vec<*mut Iocb> = (0..count).map(|index| self.slots.iocb(index)).collect();
        let mut events = vec![Event::default(); count];
        let recorder = &mut phase.recorder;
        let mut seen = vec![0; count];
        let mut round = 0_u64;
        while !deadline.is_over() {
            round += 1;
            let start = recorder.start();
            if self.ready_first {
                self.write_all()?;
            }
            let before = start.map(|_| now());
            // SAFETY: slots live as long as the process.
            unsafe { self.context.submit(&pointers)? };
            if let Some(before) = before {
                recorder.submit.add(now() - before);
            }
            if !self.ready_first {
                self.write_all()?;
            }
            let events = self.context.reap(count, &mut events)?;
            if let Some(start) = start {
                recorder.latency.add(now() - start);
            }
            for event in events {
                let index = self.slots.index_of(event)?;
                check(event, libc::POLLIN.into())?;
                match seen.get_mut(index) {
                    Some(last) if *last < round => *last = round,
                    _ => return Err(Stop::Fail(format!("poll {index} had two events"))),
                }
            }
            self.read_all()?;
            recorder.ops += count as u64;
            recorder.events += count as u64;
        }
        Ok(())
    }

    fn baseline_ns(&self) -> Option<f64> {
        self.baseline_ns
    }
}
