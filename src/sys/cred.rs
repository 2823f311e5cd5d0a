//! The credentials with which a thread works on files.

use libc::{SYS_capget, SYS_capset, SYS_setfsgid, SYS_setfsuid, c_long};

use crate::sys::errno::Result;
use crate::sys::raw::syscall;

/// The file system ids and effective capabilities of a thread.
///
/// Supplementary groups are left out: of what a worker does, overwriting and syncing, nothing looks
/// at them; they matter when a file is opened or a block is allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    fsuid: u32,
    fsgid: u32,
    effective: u64,
}

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`, twice: low and high 32 capabilities.
#[derive(Clone, Copy, Default)]
#[repr(C)]
struct Capabilities {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn set_id(number: c_long, id: u32) -> u32 {
    // kernel/sys.c, setfsuid: an id that does not exist changes nothing; the old one is returned.
    // SAFETY: no pointer; only this thread's credentials change.
    unsafe { syscall!(number, id as i32) }.map_or(u32::MAX, |old| old as u32)
}

fn capabilities() -> Result<[Capabilities; 2]> {
    let mut header = Header { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [Capabilities::default(); 2];
    // SAFETY: version 3 writes two data structures.
    unsafe { syscall!(SYS_capget, &raw mut header, data.as_mut_ptr()) }?;
    Ok(data)
}

impl Credentials {
    /// Those of the calling thread.
    pub fn current() -> Credentials {
        let effective = capabilities()
            .map_or(0, |[low, high]| u64::from(high.effective) << 32 | u64::from(low.effective));
        Credentials {
            fsuid: set_id(SYS_setfsuid, u32::MAX),
            fsgid: set_id(SYS_setfsgid, u32::MAX),
            effective,
        }
    }

    /// In two words, for atomics.
    pub fn to_words(self) -> [u64; 2] {
        [u64::from(self.fsuid) << 32 | u64::from(self.fsgid), self.effective]
    }

    /// From [`Credentials::to_words`].
    pub fn from_words([ids, effective]: [u64; 2]) -> Credentials {
        Credentials { fsuid: (ids >> 32) as u32, fsgid: ids as u32, effective }
    }

    /// Gives the calling thread these credentials, as far as it may. The process keeps its own.
    pub fn adopt(self) {
        // The group first: after a change of the user id it may not be allowed any more.
        set_id(SYS_setfsgid, self.fsgid);
        set_id(SYS_setfsuid, self.fsuid);
        let Ok(mut data) = capabilities() else { return };
        for (half, data) in data.iter_mut().enumerate() {
            data.effective = (self.effective >> (32 * half)) as u32 & data.permitted;
        }
        let mut header = Header { version: CAPABILITY_VERSION_3, pid: 0 };
        // SAFETY: version 3 reads two data structures; only this thread's credentials change.
        let _: Result<usize> = unsafe { syscall!(SYS_capset, &raw mut header, data.as_ptr()) };
    }
}

/// Whether the calling thread may use the realtime I/O class (block/ioprio.c, ioprio_check_cap).
pub fn may_use_realtime_io() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_SYS_NICE: u64 = 1 << 23;
    Credentials::current().effective & (CAP_SYS_ADMIN | CAP_SYS_NICE) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adopting_own_credentials_changes_nothing() {
        let own = Credentials::current();
        own.adopt();
        assert_eq!(Credentials::current(), own);
    }
}
