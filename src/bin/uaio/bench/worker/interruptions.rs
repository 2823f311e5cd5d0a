//! A thread makes blocking calls of its own while its direct reads complete.
//!
//! Kernel AIO completes them in an interrupt. A library that has them completed in the thread that
//! submitted them may cut its calls short, or end them with EINTR, which no signal explains.

use std::fs::File;
use std::io::{PipeWriter, Read, Write, pipe};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use aio::aio_abi::{Event, Iocb};

use super::super::blocking::BlockingCalls;
use super::super::job::{Access, Job};
use super::libaio::{Context, Libaio};
use super::phase::{Phase, Recorder, now};
use super::requests::Requests;
use super::slots::Slots;
use super::{Load, Outcome, Stop, fail_last, file};

/// More than a pipe or a socket holds.
const LARGE: usize = 256 << 10;
/// Takes some milliseconds.
const RANDOM: usize = 1 << 20;
/// What the other ends move at a time, and the pause in between.
const PIECE: usize = 8 << 10;
const PAUSE: Duration = Duration::from_micros(20);
const TIMEOUT_MS: u16 = 3;

/// Direct random reads, and calls in turn.
pub struct Interruptions<'a> {
    context: Context<'a>,
    requests: Requests,
    slots: Slots,
    events: Vec<Event>,
    ends: Ends,
    calls: Vec<(Call, BlockingCalls)>,
    /// Keeps the file open.
    _file: File,
}

/// What the calls work on.
struct Ends {
    pipe: PipeWriter,
    drained: UnixStream,
    fed: UnixStream,
    epoll: OwnedFd,
    semaphore: Option<i32>,
    buffer: Vec<u8>,
}

/// A blocking call.
#[derive(Clone, Copy)]
enum Call {
    Write,
    Send,
    Receive,
    GetRandom,
    EpollWait,
    SemTimedOp,
}

impl<'a> Interruptions<'a> {
    /// `depth` reads in flight.
    pub fn prepare(job: &Job, depth: usize, library: &'a Libaio) -> Outcome<Interruptions<'a>> {
        let file = file::open_data(job, Access::Direct)?;
        let context = library.setup(depth)?;
        let requests = Requests::random_reads(&file, job.data_bytes, 0);
        let slots = requests.slots(depth);
        let ends = Ends::prepare()?;
        use Call::*;
        let all = [Write, Send, Receive, GetRandom, EpollWait, SemTimedOp];
        let has = |call: &Call| !matches!(call, SemTimedOp) || ends.semaphore.is_some();
        let calls = all.into_iter().filter(has);
        let calls = calls.map(|it| (it, BlockingCalls::of(it.name()))).collect();
        let events = vec![Event::default(); depth];
        Ok(Interruptions { context, requests, slots, events, ends, calls, _file: file })
    }

    fn submit(&mut self, slots: &[usize], recorder: &mut Recorder) -> Outcome {
        let start = now();
        let mut pointers: Vec<*mut Iocb> = Vec::with_capacity(slots.len());
        for &index in slots {
            let slot = self.slots.get(index)?;
            self.requests.prepare(slot);
            slot.start = Some(start);
            pointers.push(self.slots.iocb(index));
        }
        let before = now();
        // SAFETY: slots and their buffers live as long as the process.
        unsafe { self.context.submit(&pointers)? };
        recorder.submit.add(now() - before);
        Ok(())
    }

    /// Reaps `min` reads or more; the slots that are free then.
    fn reap(&mut self, min: usize, recorder: &mut Recorder) -> Outcome<Vec<usize>> {
        let events = self.context.reap(min, &mut self.events)?;
        let (end, mut free) = (now(), Vec::with_capacity(events.len()));
        for event in events {
            free.push(self.requests.finish(&mut self.slots, event, end, recorder)?);
        }
        Ok(free)
    }
}

impl Load for Interruptions<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.requests.verifies = phase.is_warm_up;
        let deadline = phase.deadline();
        self.calls.iter_mut().for_each(|(call, counts)| *counts = BlockingCalls::of(call.name()));
        let mut free: Vec<usize> = (0..self.slots.len()).collect();
        for turn in 0.. {
            if !free.is_empty() {
                self.submit(&free, &mut phase.recorder)?;
            }
            let turn = turn % self.calls.len();
            if let Some((call, counts)) = self.calls.get_mut(turn) {
                self.ends.make(*call, counts)?;
            }
            if deadline.is_over() {
                break;
            }
            free = self.reap(0, &mut phase.recorder)?;
        }
        self.reap(self.slots.len(), &mut phase.recorder).map(|_| ())
    }

    fn blocking_calls(&self) -> Vec<BlockingCalls> {
        self.calls.iter().map(|(_, counts)| counts.clone()).collect()
    }
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Call::Write => "write",
            Call::Send => "send",
            Call::Receive => "recv",
            Call::GetRandom => "getrandom",
            Call::EpollWait => "epoll_wait",
            Call::SemTimedOp => "semtimedop",
        }
    }

    /// What it returns when nothing disturbs it.
    fn full(self) -> usize {
        match self {
            Call::Write | Call::Send | Call::Receive => LARGE,
            Call::GetRandom => RANDOM,
            Call::EpollWait | Call::SemTimedOp => 0,
        }
    }
}

impl Ends {
    /// Threads drain and feed the other ends as long as the process lives.
    fn prepare() -> Outcome<Ends> {
        let failed = |error| Stop::Fail(format!("pipe: {}", crate::failure::reason(&error)));
        let (mut output, pipe) = pipe().map_err(failed)?;
        let (drained, mut drain) = UnixStream::pair().map_err(failed)?;
        let (fed, mut feed) = UnixStream::pair().map_err(failed)?;
        go_on(move || output.read(&mut [0; PIECE]).is_ok_and(|got| got > 0));
        go_on(move || drain.read(&mut [0; PIECE]).is_ok_and(|got| got > 0));
        go_on(move || feed.write_all(&[1; PIECE]).is_ok());
        // SAFETY: makes a descriptor, which is then ours.
        let epoll = unsafe {
            match libc::epoll_create1(libc::EPOLL_CLOEXEC) {
                -1 => return fail_last("epoll_create1"),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        let buffer = vec![0; RANDOM];
        Ok(Ends { pipe, drained, fed, epoll, semaphore: semaphore(), buffer })
    }

    /// Makes a call and counts how it ended.
    fn make(&mut self, call: Call, counts: &mut BlockingCalls) -> Outcome {
        let buffer = self.buffer.as_mut_ptr().cast::<libc::c_void>();
        let full = call.full();
        debug_assert!(full <= self.buffer.len());
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: i64::from(TIMEOUT_MS) * 1_000_000 };
        let fd = |end: &dyn AsRawFd| -> RawFd { end.as_raw_fd() };
        // SAFETY: the buffer has room for `full` bytes and more; the other arguments are valid
        // for the length of the call, and the kernel knows its descriptors and semaphores.
        let result = unsafe {
            match call {
                Call::Write => libc::write(fd(&self.pipe), buffer, full),
                Call::Send => libc::send(fd(&self.drained), buffer, full, libc::MSG_NOSIGNAL),
                Call::Receive => libc::recv(fd(&self.fed), buffer, full, libc::MSG_WAITALL),
                Call::GetRandom => libc::getrandom(buffer, full, 0),
                Call::EpollWait => {
                    let mut event = libc::epoll_event { events: 0, u64: 0 };
                    let limit = i32::from(TIMEOUT_MS);
                    libc::epoll_wait(fd(&self.epoll), &raw mut event, 1, limit) as isize
                }
                Call::SemTimedOp => {
                    let mut take = libc::sembuf { sem_num: 0, sem_op: -1, sem_flg: 0 };
                    let id = self.semaphore.unwrap_or(-1);
                    libc::syscall(libc::SYS_semtimedop, id, &raw mut take, 1, &raw const timeout)
                        as isize
                }
            }
        };
        let errno = std::io::Error::last_os_error().raw_os_error();
        counts.calls += 1;
        match usize::try_from(result) {
            Ok(got) if got == full => {}
            Ok(got @ 1..) if got < full => counts.short += 1,
            Err(_) if errno == Some(libc::EINTR) => counts.eintr += 1,
            // Its time is over.
            Err(_) if errno == Some(libc::EAGAIN) && matches!(call, Call::SemTimedOp) => {}
            Err(_) => return fail_last(call.name()),
            Ok(got) => return Err(Stop::Fail(format!("{} returned {got}", call.name()))),
        }
        Ok(())
    }
}

/// A thread that does `piece` again and again, with pauses, as long as it can.
fn go_on(mut piece: impl FnMut() -> bool + Send + 'static) {
    thread::spawn(move || {
        while piece() {
            thread::sleep(PAUSE);
        }
    });
}

/// A semaphore that goes with the process, which takes a name space of its own: else one would stay
/// when the process is killed. None if that is not allowed.
fn semaphore() -> Option<i32> {
    // SAFETY: passes numbers only.
    let id = unsafe {
        match libc::unshare(libc::CLONE_NEWIPC) {
            0 => libc::semget(libc::IPC_PRIVATE, 1, 0o600),
            _ => -1,
        }
    };
    (id >= 0).then_some(id)
}
