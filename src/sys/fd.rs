//! File descriptors: what is behind them, duplicates, eventfds.

use core::mem::MaybeUninit;

use libc::{
    EFD_CLOEXEC, EFD_NONBLOCK, F_DUPFD_CLOEXEC, F_GETFL, RLIMIT_NOFILE, SYS_close, SYS_eventfd2,
    SYS_fcntl, SYS_kcmp, SYS_prlimit64, SYS_write, c_int,
};

use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{self, Direction, NO_OFFSET};
use crate::sys::file_info::FileInfo;
use crate::sys::host;
use crate::sys::raw::syscall;
use crate::sys::refusal;

/// The status flags of an open file (`O_RDWR`, `O_DIRECT`, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFlags(c_int);

impl StatusFlags {
    /// From [`StatusFlags::bits`].
    pub fn from_bits(bits: c_int) -> StatusFlags {
        StatusFlags(bits)
    }

    /// As F_GETFL gives them.
    pub fn bits(self) -> c_int {
        self.0
    }

    /// Open for reading.
    pub fn is_readable(self) -> bool {
        matches!(self.0 & libc::O_ACCMODE, libc::O_RDONLY | libc::O_RDWR)
    }

    /// Open for writing.
    pub fn is_writable(self) -> bool {
        matches!(self.0 & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
    }

    /// O_DIRECT is set.
    pub fn is_direct(self) -> bool {
        self.0 & libc::O_DIRECT != 0
    }

    /// Surely not a pipe or socket: the kernel marks what open(2) makes with O_LARGEFILE.
    pub fn is_opened_by_path(self) -> bool {
        /// <asm/fcntl.h>; libc's is 0 on 64-bit systems.
        #[cfg(target_arch = "x86_64")]
        const O_LARGEFILE: c_int = 0o100_000;
        #[cfg(target_arch = "aarch64")]
        const O_LARGEFILE: c_int = 0o400_000;
        self.0 & O_LARGEFILE != 0
    }

    /// O_APPEND is set.
    pub fn is_append(self) -> bool {
        self.0 & libc::O_APPEND != 0
    }

    /// O_NONBLOCK is set.
    pub fn is_nonblocking(self) -> bool {
        self.0 & libc::O_NONBLOCK != 0
    }

    /// Open for both reading and writing.
    pub fn is_read_write(self) -> bool {
        self.0 & libc::O_ACCMODE == libc::O_RDWR
    }
}

/// The status flags of `fd`; EBADF for a number that is not open, and for O_PATH files, which the
/// kernel's `fget` refuses as well.
#[inline]
pub fn status_flags(fd: c_int) -> Result<StatusFlags> {
    // SAFETY: F_GETFL takes no pointer.
    let asked = unsafe { syscall!(SYS_fcntl, fd, F_GETFL) };
    let flags = match asked {
        Ok(flags) => flags,
        Err(Errno::BADF) => return Err(Errno::BADF),
        // The kernel does not say so: a filter does.
        Err(_) => flags_in_proc(fd)?,
    } as c_int;
    if flags & libc::O_PATH != 0 { Err(Errno::BADF) } else { Ok(StatusFlags(flags)) }
}

/// What F_GETFL would tell. EBADF: the number is not open, or its directory in /proc not there.
#[cold]
fn flags_in_proc(fd: c_int) -> Result<usize> {
    let mut text = [0u8; 128];
    let path = proc_path(b"/proc/self/fdinfo/", fd);
    let len = host::read_short(&path, &mut text).map_err(|_| Errno::BADF)?;
    // "pos:\t0\nflags:\t0100002\n…", the flags in octal.
    let mut lines = text.get(..len).unwrap_or_default().split(|byte| *byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"flags:\t")).ok_or(Errno::BADF)?;
    let digits = line.iter().map(|byte| usize::from(byte.wrapping_sub(b'0')));
    // Close-on-exec belongs to the number, not to the file.
    let flags = digits.fold(0, |flags: usize, digit| flags << 3 | digit);
    Ok(flags & !(libc::O_CLOEXEC as usize))
}

/// Whether two descriptors of this process are the same open file, as F_DUPFD_QUERY says; none
/// where that is not there (before Linux 6.10) or not allowed.
pub fn query_same_file(a: c_int, b: c_int) -> Option<Result<bool>> {
    /// <linux/fcntl.h>
    const F_DUPFD_QUERY: usize = 1024 + 3;
    /// Not asked again: older kernels give EINVAL for whatever they do not know.
    static HAS_QUERY: AtomicBool = AtomicBool::new(true);
    if !HAS_QUERY.load(Ordering::Relaxed) {
        return None;
    }
    // SAFETY: F_DUPFD_QUERY takes no pointer.
    match unsafe { syscall!(SYS_fcntl, a, F_DUPFD_QUERY, b) } {
        Ok(is_same) => Some(Ok(is_same == 1)),
        Err(Errno::BADF) => Some(Err(Errno::BADF)),
        Err(_) => {
            HAS_QUERY.store(false, Ordering::Relaxed);
            None
        }
    }
}

/// Whether two descriptors of this process are the same open file; an error where neither
/// F_DUPFD_QUERY (Linux 6.10) nor kcmp is there and allowed.
pub fn is_same_file(a: c_int, b: c_int) -> Result<bool> {
    const KCMP_FILE: usize = 0;
    if let Some(answer) = query_same_file(a, b) {
        return answer;
    }
    let pid = std::process::id();
    // SAFETY: kcmp takes no pointer.
    unsafe { syscall!(SYS_kcmp, pid, pid, KCMP_FILE, a, b) }.map(|order| order == 0)
}

/// Whether `fd` is closed on exec, as all descriptors of this library are.
pub fn is_closed_on_exec(fd: c_int) -> bool {
    // SAFETY: F_GETFD takes no pointer.
    let flags: Result<usize> = unsafe { syscall!(SYS_fcntl, fd, libc::F_GETFD) };
    flags.is_ok_and(|flags| flags & libc::FD_CLOEXEC as usize != 0)
}

/// Closes what a forked child has inherited of ours, unless the program has put something else
/// there: dup2 clears the flag that all descriptors of ours have.
pub fn close_inherited(fd: c_int) {
    if is_closed_on_exec(fd) {
        close(fd);
    }
}

/// Whether another process has the same table of descriptors.
pub fn is_shared_with(process: u32) -> bool {
    const KCMP_FILES: usize = 2;
    let own = std::process::id();
    // SAFETY: kcmp takes no pointer here.
    let order = unsafe { syscall!(SYS_kcmp, own, process, KCMP_FILES, 0, 0) };
    order == Ok(0)
}

/// A descriptor that this library opened. Closed when dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct OwnedFd(c_int);

impl OwnedFd {
    /// Takes over `fd`, which nothing else may close.
    pub fn from_raw(fd: c_int) -> OwnedFd {
        OwnedFd(fd)
    }

    /// The number.
    pub fn raw(&self) -> c_int {
        self.0
    }

    /// Gives up ownership without closing.
    pub fn into_raw(self) -> c_int {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }

    /// Moves the descriptor out of the low numbers, which programs expect for their own files
    /// (`select`, "close everything above 2"); where there is no room it stays where it is.
    pub fn raised(self) -> OwnedFd {
        let Ok(high) = duplicate(self.0) else { return self };
        if is_same_file(self.0, high.0) == Ok(false) {
            // Another thread has put something of the program's at one of them just now.
            let _ = self.into_raw();
        }
        high
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// Closes `fd`, which must be ours.
pub fn close(fd: c_int) {
    // SAFETY: close takes no pointer. An error leaves nothing to do: the number is free either way.
    let closed = unsafe { syscall!(SYS_close, fd) };
    let _: Result<usize> = refusal::or_else(SYS_close, closed, || {
        // SAFETY: no pointer; the range is this number alone.
        unsafe { syscall!(libc::SYS_close_range, fd, fd, 0) }
    });
}

/// For descriptors that were made by calls without such a flag.
#[cold]
pub(super) fn close_on_exec(fd: c_int) {
    // SAFETY: no pointer.
    let _: Result<usize> = unsafe { syscall!(libc::SYS_ioctl, fd, libc::FIOCLEX) };
}

/// The lowest number that our descriptors should have.
const HIGH: u64 = 512;

fn high_base() -> usize {
    static BASE: once_cell::race::OnceNonZeroUsize = once_cell::race::OnceNonZeroUsize::new();
    BASE.get_or_init(|| {
        let base = limit(RLIMIT_NOFILE).map_or(HIGH, |soft| HIGH.min(soft / 2));
        core::num::NonZeroUsize::new(base as usize).unwrap_or(core::num::NonZeroUsize::MIN)
    })
    .get()
}

/// The soft limit of `resource`; `None` without one.
pub fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut old = libc::rlimit64 { rlim_cur: libc::RLIM64_INFINITY, rlim_max: 0 };
    // SAFETY: the kernel writes one `struct rlimit64` to `old`.
    unsafe { syscall!(SYS_prlimit64, 0, resource, 0, &raw mut old) }.ok()?;
    (old.rlim_cur != libc::RLIM64_INFINITY).then_some(old.rlim_cur)
}

/// A second, close-on-exec descriptor for the open file behind `fd`, with a high number.
///
/// Each time another number: if the program closes descriptors that are not its own, what is opened
/// next does not take the place of what was lost, and is not closed in its stead.
pub fn duplicate(fd: c_int) -> Result<OwnedFd> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let base = high_base();
    let next = NEXT.load(Ordering::Relaxed);
    let from = if (base..2 * base).contains(&next) { next } else { base };
    let is_final = |error: &Errno| *error == Errno::BADF;
    // EINVAL: the base is above the limit; EMFILE: no number is free above it.
    let result = duplicate_at(fd, from)
        .or_else(|error| if is_final(&error) { Err(error) } else { duplicate_at(fd, base) })
        .or_else(|error| if is_final(&error) { Err(error) } else { duplicate_at(fd, 0) });
    if let Ok(new) = &result {
        NEXT.store(new.0 as usize + 1, Ordering::Relaxed);
    }
    result
}

/// A duplicate at the first free number from `base` on.
fn duplicate_at(fd: c_int, base: usize) -> Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes no pointer.
    let made = unsafe { syscall!(SYS_fcntl, fd, F_DUPFD_CLOEXEC, base) };
    let new = refusal::or_else(SYS_fcntl, made, || {
        // SAFETY: no pointer.
        let new = unsafe { syscall!(libc::SYS_dup, fd) }?;
        close_on_exec(new as c_int);
        Ok(new)
    })?;
    Ok(OwnedFd(new as c_int))
}

/// A counter that can be waited for; non-blocking.
pub fn eventfd() -> Result<OwnedFd> {
    // SAFETY: eventfd2 takes no pointer.
    let made = unsafe { syscall!(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK) };
    #[cfg(target_arch = "x86_64")]
    let made = match made {
        // The kernel does not say so.
        Err(Errno::PERM | Errno::NOSYS | Errno::ACCES) => old_eventfd(),
        made => made,
    };
    Ok(OwnedFd(made? as c_int).raised())
}

#[cfg(target_arch = "x86_64")]
#[cold]
fn old_eventfd() -> Result<usize> {
    // SAFETY: no pointer.
    let fd = unsafe { syscall!(libc::SYS_eventfd, 0) }?;
    close_on_exec(fd as c_int);
    let yes: c_int = 1;
    // SAFETY: the kernel reads one integer.
    let _: Result<usize> = unsafe { syscall!(libc::SYS_ioctl, fd, libc::FIONBIO, &raw const yes) };
    Ok(fd)
}

/// A pipe: the end to read from and the one to write to.
pub fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends: [c_int; 2] = [-1; 2];
    // SAFETY: the kernel writes two numbers.
    unsafe { syscall!(libc::SYS_pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC) }?;
    Ok((OwnedFd(ends[0]), OwnedFd(ends[1])))
}

/// Sends no bytes on a socket, and no signal if nobody is there.
pub fn send_nothing(fd: c_int) -> Result<usize> {
    // SAFETY: no byte is read.
    let sent = unsafe { syscall!(libc::SYS_sendto, fd, 0, 0, libc::MSG_NOSIGNAL, 0, 0) };
    refusal::or_else(libc::SYS_sendto, sent, || {
        // SAFETY: all-zero is a message of nothing to nobody.
        let message: libc::msghdr = unsafe { core::mem::zeroed() };
        // SAFETY: the kernel reads one `struct msghdr`.
        unsafe { syscall!(libc::SYS_sendmsg, fd, &raw const message, libc::MSG_NOSIGNAL) }
    })
}

/// Whether the file behind `fd` may have POSIX record locks, which closing `fd` would drop if they
/// are this process's.
pub fn is_locked(fd: c_int) -> bool {
    let mut range = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // Where fcntl is refused the program cannot lock either.
    // As the owner of an open file description we are in the way of our own process's locks too.
    // SAFETY: the kernel reads and writes one `struct flock`.
    let asked: Result<usize> =
        unsafe { syscall!(SYS_fcntl, fd, libc::F_OFD_GETLK, &raw mut range) };
    asked.is_ok() && i32::from(range.l_type) != libc::F_UNLCK
}

/// Whether there is no file behind `fd` but an object of the kernel: an eventfd, an epoll, ….
fn is_anonymous(fd: c_int) -> bool {
    FileInfo::of(fd).is_ok_and(|info| info.kind == 0)
}

/// Whether `fd` is an eventfd, whose file operations fs/eventfd.c, eventfd_fget compares.
pub fn is_eventfd(fd: c_int) -> bool {
    if let Some(is_it) = link_is(fd, c"anon_inode:[eventfd]") {
        return is_it;
    }
    // Without /proc: an eventfd refuses a write of less than 8 bytes; others can be written, or
    // cannot at all and are not ready for it. Anonymous inodes have no type: the write must not
    // reach a socket.
    if !is_anonymous(fd) {
        return false;
    }
    // SAFETY: no byte is read.
    let written = unsafe { syscall!(SYS_write, fd, 0, 0) };
    written == Err(Errno::INVAL)
        && crate::sys::poll::one(fd, libc::POLLOUT).is_ok_and(|ready| ready & libc::POLLOUT != 0)
}

/// Whether /proc shows `name` as what is behind `fd`; false where /proc is missing.
pub fn is_link_to(fd: c_int, name: &core::ffi::CStr) -> bool {
    link_is(fd, name) == Some(true)
}

fn link_is(fd: c_int, name: &core::ffi::CStr) -> Option<bool> {
    let mut link = [0u8; 32];
    let path = proc_path(b"/proc/self/fd/", fd);
    // SAFETY: `path` ends with NUL, and the kernel writes at most 32 bytes to `link`.
    let len = unsafe {
        syscall!(libc::SYS_readlinkat, libc::AT_FDCWD, path.as_ptr(), link.as_mut_ptr(), link.len())
    };
    len.ok().map(|len| link.get(..len) == Some(name.to_bytes()))
}

/// `directory` and the number, NUL-terminated.
fn proc_path(directory: &[u8], fd: c_int) -> [u8; 32] {
    let mut path = [0; 32];
    for (slot, byte) in path.iter_mut().zip(directory) {
        *slot = *byte;
    }
    let mut digits = [0u8; 10];
    let mut count = 0;
    let mut rest = fd.unsigned_abs();
    for digit in &mut digits {
        *digit = b'0' + (rest % 10) as u8;
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for (slot, digit) in path.iter_mut().skip(directory.len()).zip(digits.iter().take(count).rev())
    {
        *slot = *digit;
    }
    path
}

/// A second open of the file behind `fd`, for reading.
pub fn reopen_for_reading(fd: c_int) -> Result<OwnedFd> {
    reopen(fd, libc::O_RDONLY)
}

/// A second open of the FIFO behind `fd` that does not block, for one direction. Whoever is at the
/// other end sees no difference as long as `fd` itself is open for it.
pub fn reopen_fifo(fd: c_int, direction: Direction) -> Result<OwnedFd> {
    let mode = match direction {
        Direction::Read => libc::O_RDONLY,
        Direction::Write => libc::O_WRONLY,
    };
    // It stays as long as the transfer.
    reopen(fd, mode).map(OwnedFd::raised)
}

fn reopen(fd: c_int, mode: c_int) -> Result<OwnedFd> {
    let path = proc_path(b"/proc/self/fd/", fd);
    // SAFETY: `path` ends with NUL.
    let new = unsafe {
        syscall!(
            libc::SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            mode | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY,
            0
        )
    }?;
    Ok(OwnedFd(new as c_int))
}

/// A descriptor that becomes readable when the calling process ends.
pub fn own_process() -> Result<OwnedFd> {
    // SAFETY: no pointer.
    let fd = unsafe { syscall!(libc::SYS_pidfd_open, std::process::id(), 0) }?;
    Ok(OwnedFd(fd as c_int).raised())
}

/// A nameless file in memory.
pub fn memory_file() -> Result<OwnedFd> {
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { syscall!(libc::SYS_memfd_create, c"uaio".as_ptr(), libc::MFD_CLOEXEC) }?;
    Ok(OwnedFd(fd as c_int))
}

/// Whether `fd` is on a file system that has no storage and whose files lack many functions.
pub fn is_on_pseudo_file_system(fd: c_int) -> bool {
    /// <linux/magic.h>: proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, devpts, bpf,
    /// selinuxfs, mqueue, configfs, binfmt_misc, nsfs, pstore, efivarfs,
    /// secretmem.
    const PSEUDO: [i64; 17] = [
        0x9fa0,
        0x6265_6572,
        0x27_e0eb,
        0x6367_7270,
        0x6462_6720,
        0x7472_6163,
        0x7363_6673,
        0x1cd1,
        0xcafe_4a11,
        0xf97c_ff8c,
        0x1980_0202,
        0x6265_6570,
        0x4249_4e4d,
        0x6e73_6673,
        0x6165_676c,
        0xde5e_81e4,
        0x5345_434d,
    ];
    file_system(fd).is_some_and(|kind| PSEUDO.contains(&kind))
}

/// Whether `fd` is on a file system that accepts O_DIRECT, but reads and writes its files before
/// the call returns, whoever asks.
pub fn is_on_synchronous_file_system(fd: c_int) -> bool {
    /// <linux/magic.h>: tmpfs, ramfs, hugetlbfs; and ZFS.
    const SYNCHRONOUS: [i64; 4] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6, 0x2fc1_2fc1];
    file_system(fd).is_some_and(|kind| SYNCHRONOUS.contains(&kind))
}

/// The kind of file system that `fd` is on.
fn file_system(fd: c_int) -> Option<i64> {
    let mut stat = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the kernel writes one `struct statfs`.
    unsafe { syscall!(libc::SYS_fstatfs, fd, stat.as_mut_ptr()) }.ok()?;
    // SAFETY: all-zero is a valid `statfs`, and the kernel filled it.
    Some(unsafe { stat.assume_init() }.f_type)
}

/// Whether `fd` is a terminal.
pub fn is_tty(fd: c_int) -> bool {
    let mut settings = [0u8; 256];
    // SAFETY: TCGETS writes a `struct termios`, much less than 256 bytes.
    let result: Result<usize> =
        unsafe { syscall!(libc::SYS_ioctl, fd, libc::TCGETS, settings.as_mut_ptr()) };
    result.is_ok()
}

/// How long a blocking call on a socket may take (SO_RCVTIMEO, SO_SNDTIMEO); `None`: for ever.
pub fn socket_timeout(fd: c_int, direction: Direction) -> Option<libc::timespec> {
    let option = match direction {
        Direction::Read => libc::SO_RCVTIMEO,
        Direction::Write => libc::SO_SNDTIMEO,
    };
    let mut span = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut len = size_of::<libc::timeval>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `span`, and the length to `len`.
    unsafe {
        syscall!(libc::SYS_getsockopt, fd, libc::SOL_SOCKET, option, &raw mut span, &raw mut len)
    }
    .ok()?;
    let is_set = span.tv_sec != 0 || span.tv_usec != 0;
    is_set.then_some(libc::timespec { tv_sec: span.tv_sec, tv_nsec: span.tv_usec * 1000 })
}

/// Whether the file behind `fd` can only be appended to (chattr +a).
pub fn is_append_only(fd: c_int) -> bool {
    /// <linux/stat.h>
    const STATX_ATTR_APPEND: u64 = 0x20;
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the empty path is NUL-terminated, and the kernel writes one `struct statx`.
    let asked = unsafe {
        syscall!(
            libc::SYS_statx,
            fd,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_TYPE,
            stat.as_mut_ptr()
        )
    };
    // SAFETY: all-zero is a valid `statx`.
    asked.is_ok() && unsafe { stat.assume_init() }.stx_attributes & STATX_ATTR_APPEND != 0
}

/// Whether `fd` is a socket that carries bytes, not messages.
pub fn is_stream_socket(fd: c_int) -> bool {
    let mut kind: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `kind`, and the length to `len`.
    let result: Result<usize> = unsafe {
        syscall!(
            libc::SYS_getsockopt,
            fd,
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            &raw mut kind,
            &raw mut len
        )
    };
    match result {
        Ok(_) => kind == libc::SOCK_STREAM,
        // Most are.
        Err(error) => refusal::is_refused(libc::SYS_getsockopt, error),
    }
}

/// Adds 1 to an eventfd.
pub fn eventfd_signal(fd: c_int) {
    eventfd_add(fd, 1);
}

/// Adds `count` to an eventfd of ours or of the program. False: `fd` is not open.
pub fn eventfd_add(fd: c_int, count: u64) -> bool {
    let value = (&raw const count).expose_provenance() as u64;
    // SAFETY: the kernel reads 8 bytes of `count`.
    let added = unsafe { file::plain(Direction::Write, fd, value, 8, NO_OFFSET) };
    if matches!(added, Ok(_) | Err(Errno::BADF)) {
        return added.is_ok();
    }
    // A reader that is not told waits for ever: once more, unless it is full, when that changes
    // nothing.
    let iov = [libc::iovec { iov_base: (&raw const count).cast_mut().cast(), iov_len: 8 }];
    // SAFETY: as above.
    let added = unsafe { file::vectored(Direction::Write, fd, &iov, NO_OFFSET, 0) };
    added != Err(Errno::BADF)
}

/// Sets an eventfd of ours back to 0.
pub fn eventfd_drain(fd: c_int) {
    let mut count = 0u64;
    let room = (&raw mut count).expose_provenance() as u64;
    // SAFETY: the kernel writes 8 bytes to `count`.
    let _: Result<usize> = unsafe { file::plain(Direction::Read, fd, room, 8, NO_OFFSET) };
}
