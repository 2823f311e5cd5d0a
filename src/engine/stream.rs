//! Pipes, sockets, ttys, eventfds: they have no position, and they may block, as they do in the
//! kernel's io_submit.
//!
//! A signal that comes meanwhile is pending, for the kernel, until io_submit returns: whatever
//! would block after it ends with EINTR at once, and SIGPIPE comes once, at the end. Here a handler
//! runs when it runs, so the batch remembers ([`PendingSignals`]).

use core::ffi::c_int;

use libc::{POLLIN, POLLOUT, RWF_DSYNC, RWF_NOWAIT, S_IFIFO, S_IFSOCK, iovec, pollfd, timespec};

use crate::completion::waiters::{Errand, Sleep, Waiter, WaiterGuard, Waiters};
use crate::engine::inline::{file_type, has_iter, may_use_nosignal, refused};
use crate::files::pins::{self, Pin};
use crate::process::fork_gate;
use crate::process::reentrancy;
use crate::request::decode::Transfer;
use crate::sys::errno::{Errno, Result};
use crate::sys::fd::{self, OwnedFd, StatusFlags};
use crate::sys::file::{self, Direction, NO_OFFSET, RWF_NOSIGNAL};
use crate::sys::file_info::Identity;
use crate::sys::{clock, poll, signal};

/// A flag without effect on streams, with which the kernel refuses those that have no `read_iter`
/// or `write_iter`; see [`super::inline`].
const DETECTOR: c_int = RWF_DSYNC;

/// How long a transfer sleeps without a look whether its file is still held.
const MAX_SLEEP: timespec = timespec { tv_sec: 1, tv_nsec: 0 };

/// What a batch knows of signals.
#[derive(Debug, Default)]
pub struct PendingSignals {
    /// A handler has run, or will: nothing blocks any more.
    is_pending: bool,
    /// A write found nobody to read.
    is_broken_pipe: bool,
    /// The thread has slept: what was known of descriptors before is out of date.
    has_slept: bool,
    /// For a transfer that io_submit does itself.
    pub desk: Option<Desk>,
}

/// Where a transfer that sleeps is written down, for the undoing of a call that is left.
#[derive(Clone, Copy, Debug)]
pub struct Desk {
    /// Those of the context.
    pub waiters: &'static Waiters,
    /// The transfer.
    pub errand: Errand,
}

impl Desk {
    /// A node for the call. Without memory for one the event of a call that is left is lost.
    fn sit(&self) -> Option<WaiterGuard<'static>> {
        self.waiters.join(reentrancy::owner(), 0, Sleep::Elsewhere)
    }

    /// Sleeps after `done` bytes, in the node that the call has, or in one for the time. EINTR also
    /// if io_destroy has given the call up, because a handler runs in it.
    fn sleep<R>(
        desk: Option<Desk>,
        hold: Option<&Hold>,
        done: u64,
        sleep: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let Some(desk) = desk else { return sleep() };
        let place;
        let waiter: Option<&Waiter> = match hold.and_then(|hold| hold.place.as_deref()) {
            Some(waiter) => Some(waiter),
            None => {
                place = desk.sit();
                place.as_deref()
            }
        };
        if let Some(waiter) = waiter {
            waiter.run(Errand { done, ..desk.errand });
            waiter.fall_asleep();
        }
        let slept = sleep();
        match waiter {
            Some(waiter) if !waiter.wake_up() => Err(Errno::INTR),
            _ => slept,
        }
    }
}

/// A descriptor that holds the file from the first sleep on, and where that is written down.
struct Hold {
    pin: Option<Pin>,
    /// The program's number for the file, and which file it is.
    number: c_int,
    file: Option<Identity>,
    place: Option<WaiterGuard<'static>>,
}

impl Hold {
    fn new(
        desk: Option<Desk>,
        number: c_int,
        open: impl FnOnce(c_int) -> Result<OwnedFd>,
    ) -> Result<Hold> {
        let _section = fork_gate::enter();
        let pin = Pin::new(open(number)?);
        let place = desk.as_ref().and_then(Desk::sit);
        let file = pins::look(pin.raw(), number, None).map(|info| info.identity);
        if let (Some(waiter), Some(file)) = (&place, file) {
            waiter.own_pin(pin.raw(), file);
        }
        Ok(Hold { pin: Some(pin), number, file, place })
    }

    fn raw(&self) -> c_int {
        self.pin.as_ref().map_or(-1, Pin::raw)
    }

    /// Whether the program has left the descriptor alone.
    fn is_intact(&self) -> bool {
        self.file.is_none_or(|file| pins::is_intact(self.raw(), self.number, &file))
    }

    /// Another one of the program's number, if that means the file still.
    fn again(
        &self,
        desk: Option<Desk>,
        open: impl FnOnce(c_int) -> Result<OwnedFd>,
    ) -> Option<Hold> {
        // Before it is opened, which may do something to another file; and of what was opened.
        self.file.filter(|file| file.is_behind(self.number))?;
        Hold::new(desk, self.number, open).ok().filter(|hold| hold.file == self.file)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let _section = fork_gate::enter();
        let is_intact = self.is_intact();
        match self.pin.take() {
            // What is there is the program's.
            Some(pin) if !is_intact => {
                let _ = pin.into_inner().map(OwnedFd::into_raw);
            }
            pin => drop(pin),
        }
        drop(self.place.take());
    }
}

impl PendingSignals {
    /// Whether the batch has slept since it was last asked.
    pub fn take_slept(&mut self) -> bool {
        core::mem::take(&mut self.has_slept)
    }

    /// Whether a handler has run, or will.
    pub fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// A handler has run.
    #[cold]
    pub fn note_handler(&mut self) {
        self.is_pending = true;
    }

    /// The batch ends: sends what the kernel would deliver now.
    #[inline]
    pub fn end(&self) {
        if self.is_broken_pipe {
            signal::send_to_self(libc::SIGPIPE);
        }
    }

    /// A transfer has ended so: a signal may have come with it.
    #[cold]
    pub fn note(&mut self, error: Errno, transfer: &Transfer) {
        match error {
            Errno::INTR => self.is_pending = true,
            // mm/filemap.c, generic_write_check_limits.
            Errno::FBIG
                if transfer.direction == Direction::Write
                    && fd::limit(libc::RLIMIT_FSIZE).is_some() =>
            {
                self.raised(libc::SIGXFSZ);
            }
            _ => {}
        }
    }

    /// The kernel has completed a request in io_submit, or somewhere else meanwhile.
    #[cold]
    pub fn note_result(&mut self, res: i64) {
        match res {
            _ if res >= 0 => {}
            _ if res == Errno::INTR.to_res() => self.is_pending = true,
            _ if res == Errno::FBIG.to_res() => self.raised(libc::SIGXFSZ),
            _ if res == Errno::PIPE.to_res() => self.raised(libc::SIGPIPE),
            _ => {}
        }
    }

    fn broken_pipe(&mut self) {
        self.is_broken_pipe = true;
        self.raised(libc::SIGPIPE);
    }

    /// The kernel has sent a signal to the thread, or would have.
    fn raised(&mut self, signal: c_int) {
        self.is_pending |= signal::would_interrupt(signal, reentrancy::mask());
    }
}

/// How a stream is asked not to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// With RWF_NOWAIT.
    Gently,
    /// As it is: another open of the FIFO, with O_NONBLOCK.
    OwnOpen,
    /// Not at all: it is asked whether it is ready, and may block all the same if another thread is
    /// faster.
    WhenReady,
    /// Not at all, and it cannot tell or be held.
    Blocking,
}

/// Does a read or write on a stream. `Ok` is the event's result, `Err` an error of the submission.
#[cold]
pub fn transfer(
    fd: c_int,
    status: StatusFlags,
    transfer: &Transfer,
    pending_signals: &mut PendingSignals,
) -> Result<i64> {
    let kind = file_type(fd);
    // net/socket.c, sock_read_iter and sock_write_iter.
    if kind == S_IFSOCK && transfer.offset != 0 {
        return Ok(Errno::SPIPE.to_res());
    }
    let direction = transfer.direction;
    let mut flags = transfer.flags.bits() | DETECTOR;
    // Where the kernel cannot be told to leave the signal to us, it comes at once.
    let is_ours = direction == Direction::Write
        && may_use_nosignal()
        && transfer.flags.bits() & RWF_NOSIGNAL == 0;
    if is_ours {
        flags |= RWF_NOSIGNAL;
    }
    let call = |fd, iov: &[iovec], flags, pending_signals: &mut PendingSignals| {
        // SAFETY: the elements are a private copy; the buffers are the program's.
        let moved = unsafe { file::vectored(direction, fd, iov, NO_OFFSET, flags) };
        if moved == Err(Errno::PIPE) && sends_sigpipe(fd, kind) {
            if is_ours {
                pending_signals.broken_pipe();
            } else if transfer.flags.bits() & RWF_NOSIGNAL == 0 {
                pending_signals.raised(libc::SIGPIPE);
            }
        }
        moved
    };
    if status.is_nonblocking() || transfer.flags.is_nowait() {
        return match call(fd, transfer.buffer.as_slice(), flags, pending_signals) {
            Ok(count) => Ok(count as i64),
            Err(error) => refused(fd, transfer, error),
        };
    }
    let mut deadline = None;
    let mut done = 0u64;
    let mut is_ready = false;
    let mut way = Way::Gently;
    // From the first sleep on the file is held, whatever becomes of the number.
    let mut held: Option<Hold> = None;
    let number = fd;
    loop {
        if let Some(lost) = held.take_if(|hold| !hold.is_intact()) {
            let open = if way == Way::OwnOpen { own_open(direction) } else { fd::duplicate };
            held = lost.again(pending_signals.desk, open);
            if held.is_none() {
                // Nothing leads to the file any more.
                return Ok(if done > 0 { done as i64 } else { Errno::BADF.to_res() });
            }
        }
        let fd = held.as_ref().map_or(number, Hold::raw);
        let rest;
        let iov = match done {
            0 => transfer.buffer.as_slice(),
            _ => {
                rest = transfer.buffer.after(done);
                &rest
            }
        };
        // Not a blocking call: after a handler with SA_RESTART that would go on waiting, where the
        // kernel's AIO gives up with EINTR (fs/aio.c, aio_rw_done). poll never restarts.
        let mut moved = match way {
            Way::Gently => call(fd, iov, flags | RWF_NOWAIT, pending_signals),
            Way::OwnOpen => call(fd, iov, flags, pending_signals),
            Way::WhenReady if !is_ready_now(fd, direction) => Err(Errno::AGAIN),
            Way::Blocking if pending_signals.is_pending && !is_ready_now(fd, direction) => {
                Err(Errno::INTR)
            }
            // drivers/tty/n_tty.c, n_tty_write looks for signals before it begins.
            Way::WhenReady if pending_signals.is_pending && direction == Direction::Write => {
                Err(Errno::INTR)
            }
            Way::WhenReady | Way::Blocking => {
                pending_signals.has_slept = true;
                let moved = Desk::sleep(pending_signals.desk, held.as_ref(), done, || {
                    reentrancy::lifted(|| call(fd, iov, flags, pending_signals))
                });
                // Those that take the whole end early for a signal only.
                let is_cut = direction == Direction::Write
                    && moved.is_ok_and(|count| (count as u64) < transfer.buffer.len() - done);
                if moved == Err(Errno::INTR) || (is_cut && (kind == S_IFIFO || fd::is_tty(fd))) {
                    pending_signals.is_pending = true;
                }
                return match moved {
                    Ok(count) => Ok((done + count as u64) as i64),
                    Err(_) if done > 0 => Ok(done as i64),
                    Err(error) => refused(fd, transfer, error),
                };
            }
        };
        if way == Way::Gently && moved == Err(Errno::OPNOTSUPP) {
            // No FMODE_NOWAIT, or no read_iter and write_iter at all.
            if !has_iter(fd, direction) {
                return Err(Errno::INVAL);
            }
            way = match kind {
                S_IFIFO => match Hold::new(pending_signals.desk, number, own_open(direction)) {
                    Ok(own) => {
                        held = Some(own);
                        Way::OwnOpen
                    }
                    // Whether it blocks poll does not tell: it may have no writer.
                    Err(_) => Way::Blocking,
                },
                _ => Way::WhenReady,
            };
            continue;
        }
        if moved == Err(Errno::AGAIN) && is_ready && is_shut_down(fd, direction) {
            // net/core/datagram.c: without waiting there is no end of datagrams. This does not wait
            // either.
            moved = reentrancy::lifted(|| call(fd, iov, flags, pending_signals));
        }
        match moved {
            Ok(count) => {
                done += count as u64;
                let is_whole = done >= transfer.buffer.len();
                if direction == Direction::Read || count == 0 || is_whole || is_record(fd, kind) {
                    return Ok(done as i64);
                }
            }
            Err(Errno::AGAIN) => {
                let deadline = deadline.get_or_insert_with(|| match kind {
                    S_IFSOCK => fd::socket_timeout(fd, direction).map(|span| clock::after(&span)),
                    _ => None,
                });
                if held.is_none() {
                    held = Hold::new(pending_signals.desk, number, fd::duplicate).ok();
                }
                let Some(hold) = &held else {
                    // No descriptor is free: the call itself holds the file.
                    way = Way::Blocking;
                    continue;
                };
                let until = deadline.as_ref();
                if let Err(error) = wait_ready(hold, direction, until, done, pending_signals) {
                    return if done > 0 { Ok(done as i64) } else { refused(fd, transfer, error) };
                }
                is_ready = true;
            }
            Err(_) if done > 0 => return Ok(done as i64),
            Err(error) => return refused(fd, transfer, error),
        }
    }
}

/// A write of nothing to a socket, which may send an empty message, or find nobody.
#[cold]
pub(super) fn write_nothing_to_socket(
    fd: c_int,
    transfer: &Transfer,
    pending_signals: &mut PendingSignals,
) -> Result<usize> {
    let sent = fd::send_nothing(fd);
    let is_silent = transfer.flags.bits() & RWF_NOSIGNAL != 0;
    if sent == Err(Errno::PIPE) && !is_silent && sends_sigpipe(fd, S_IFSOCK) {
        pending_signals.broken_pipe();
    }
    sent
}

/// Whether a write that finds nobody to read raises a signal: fs/pipe.c, pipe_write, and
/// net/core/stream.c, sk_stream_error; messages only fail.
fn sends_sigpipe(fd: c_int, kind: u32) -> bool {
    kind != S_IFSOCK || fd::is_stream_socket(fd)
}

/// Whether nothing will come any more.
fn is_shut_down(fd: c_int, direction: Direction) -> bool {
    direction == Direction::Read
        && poll::one(fd, libc::POLLRDHUP).is_ok_and(|ready| ready & libc::POLLRDHUP != 0)
}

/// Whether one write is one message, so that the kernel does not go on after a short one.
fn is_record(fd: c_int, kind: u32) -> bool {
    kind != S_IFIFO && !(kind == S_IFSOCK && fd::is_stream_socket(fd))
}

fn is_ready_now(fd: c_int, direction: Direction) -> bool {
    poll::one(fd, readiness(direction)).is_ok_and(|ready| ready != 0)
}

/// How to open a FIFO once more.
fn own_open(direction: Direction) -> fn(c_int) -> Result<OwnedFd> {
    match direction {
        Direction::Read => |fd| fd::reopen_fifo(fd, Direction::Read),
        Direction::Write => |fd| fd::reopen_fifo(fd, Direction::Write),
    }
}

fn readiness(direction: Direction) -> i16 {
    match direction {
        Direction::Read => POLLIN,
        Direction::Write => POLLOUT,
    }
}

/// Sleeps until the stream is ready, or a moment is over: poll looks at a number when it wakes,
/// which may mean another file by then. EINTR: a handler has run; EAGAIN: the socket's own timeout
/// is over.
fn wait_ready(
    file: &Hold,
    direction: Direction,
    deadline: Option<&timespec>,
    done: u64,
    pending_signals: &mut PendingSignals,
) -> Result<()> {
    if pending_signals.is_pending {
        return Err(Errno::INTR);
    }
    pending_signals.has_slept = true;
    let mut fds = [pollfd { fd: file.raw(), events: readiness(direction), revents: 0 }];
    let (left, is_last) = match deadline.map(clock::until) {
        Some(left) if left.tv_sec < MAX_SLEEP.tv_sec => (left, true),
        _ => (MAX_SLEEP, false),
    };
    let mask = reentrancy::mask();
    let slept = Desk::sleep(pending_signals.desk, Some(file), done, || {
        reentrancy::blocking(|| poll::wait(&mut fds, Some(&left), mask.as_ref()))
    });
    match slept {
        Ok(0) if is_last => Err(Errno::AGAIN),
        Ok(_) => Ok(()),
        Err(error) => {
            pending_signals.is_pending |= error == Errno::INTR;
            Err(error)
        }
    }
}
