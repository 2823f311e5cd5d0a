//! A few bytes, and perhaps a descriptor, sent through a socket. Safe between fork and exec: there
//! are system calls and no allocation here.

use std::ffi::c_int;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What is sent.
pub type Message = [c_int; 2];

/// Room for a control message with one descriptor, aligned as it must be.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; 64],
}

const DESCRIPTOR: u32 = size_of::<RawFd>() as u32;

/// Gives `call` a `msghdr` that describes `message` and the first `size` bytes of `control`.
fn with_header<T>(
    message: &mut Message,
    control: &mut Control,
    size: usize,
    call: impl FnOnce(&mut libc::msghdr) -> T,
) -> T {
    let mut vector =
        libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: size_of::<Message>() };
    // SAFETY: all zeros is a valid msghdr, one without name and control message.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    if size > 0 {
        header.msg_control = (&raw mut *control).cast();
        header.msg_controllen = size as _;
    }
    call(&mut header)
}

/// Sends `message`, with `descriptor` if there is one.
pub fn send(socket: BorrowedFd, mut message: Message, descriptor: Option<RawFd>) -> io::Result<()> {
    let mut control = Control { bytes: [0; 64] };
    // SAFETY: only computes a size.
    let space = unsafe { libc::CMSG_SPACE(DESCRIPTOR) } as usize;
    let size = if descriptor.is_some() { space } else { 0 };
    let sent = with_header(&mut message, &mut control, size, |header| {
        // SAFETY: with a descriptor the control message exists and lies within `control`; sendmsg
        // reads what `header` describes.
        unsafe {
            if let Some(descriptor) = descriptor {
                let first = libc::CMSG_FIRSTHDR(header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(DESCRIPTOR) as _;
                libc::CMSG_DATA(first).cast::<RawFd>().write_unaligned(descriptor);
            }
            libc::sendmsg(socket.as_raw_fd(), header, libc::MSG_NOSIGNAL)
        }
    });
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives what [`send`] has sent; it is there already, or there is an error.
pub fn receive(socket: BorrowedFd) -> io::Result<(Message, Option<OwnedFd>)> {
    let mut message = Message::default();
    let mut control = Control { bytes: [0; 64] };
    let size = size_of::<Control>();
    let descriptor = with_header(&mut message, &mut control, size, |header| {
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        // SAFETY: recvmsg fills what `header` describes; a control message that it leaves holds the
        // one descriptor that `send` has put there, and that is ours.
        unsafe {
            match libc::recvmsg(socket.as_raw_fd(), header, flags) {
                got if got == size_of::<Message>() as isize => {}
                got if got < 0 => return Err(io::Error::last_os_error()),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
            let first = libc::CMSG_FIRSTHDR(header);
            Ok((!first.is_null()).then(|| {
                OwnedFd::from_raw_fd(libc::CMSG_DATA(first).cast::<RawFd>().read_unaligned())
            }))
        }
    })?;
    Ok((message, descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_message_arrives_with_its_descriptor() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send(theirs.as_fd(), [1, -2], Some(writer.as_raw_fd())).unwrap();
        drop(writer);
        send(theirs.as_fd(), [3, 4], None).unwrap();
        let (message, descriptor) = receive(ours.as_fd()).unwrap();
        assert_eq!(message, [1, -2]);
        std::fs::File::from(descriptor.unwrap()).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        let (message, descriptor) = receive(ours.as_fd()).unwrap();
        assert_eq!(message, [3, 4]);
        assert!(descriptor.is_none());
        assert!(receive(ours.as_fd()).is_err());
    }
}
