//! The file of a request, long after its submission: the program may have closed what holds it.

use crate::files::pins;
use crate::process::fork_gate;
use crate::request::Request;
use crate::sys::fd::{self, OwnedFd};

impl Request {
    /// Makes sure that the request holds its file: by its pin, or by a new one as long as the
    /// program's own fd means that file. False: it is out of reach. The caller is the only one at
    /// work on the request.
    pub fn hold_again(&self) -> bool {
        if self.pin().is_some() && self.is_pin_intact() {
            return true;
        }
        let (Some(work), Some(file)) = (self.work(), self.file()) else { return false };
        let _section = fork_gate::enter();
        let Ok(pin) = fd::duplicate(work.fd) else { return false };
        if !file.is_behind(pin.raw()) {
            pins::release(pin);
            return false;
        }
        // What is at the fd of the old one is the program's.
        let _ = self.take_pin().map(OwnedFd::into_raw);
        self.set_pin(pin, Some(file));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Slab, Task, Work};
    use crate::sys::file_info::Identity;

    #[test]
    fn a_lost_pin_is_made_again_from_the_programs_number() {
        let slab = Slab::default();
        let (file, other) = (fd::memory_file().unwrap(), fd::memory_file().unwrap());
        let identity = Identity::of(file.raw()).unwrap();
        let task = Task::Sync { data_only: false };
        let work = Work { data: 0, iocb: 1, fd: file.raw(), task };
        let request = slab.insert(work).unwrap();
        request.set_pin(fd::duplicate(file.raw()).unwrap(), Some(identity));
        let pin = request.pin().unwrap();
        assert!(request.hold_again());
        assert_eq!(request.pin(), Some(pin));
        // SAFETY: both fds are the test's.
        unsafe { libc::dup2(other.raw(), pin) };
        assert!(request.hold_again());
        assert!(identity.is_behind(request.pin().unwrap()));
        assert!(!identity.is_behind(pin), "what the program has put there stays");
        drop(request.unpin());
        // SAFETY: as above.
        unsafe { libc::dup2(other.raw(), file.raw()) };
        request.set_pin(OwnedFd::from_raw(pin), Some(identity));
        assert!(!request.hold_again(), "the fd means another file");
        assert!(request.unpin().is_none());
        drop(OwnedFd::from_raw(pin));
    }
}
