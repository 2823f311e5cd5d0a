//! A descriptor, or none, that threads share.

use bytemuck::Zeroable;

use crate::sync::{AtomicI32, Ordering};

/// See the module. All-zero memory has none.
#[derive(Debug, Default, Zeroable)]
pub struct AtomicFd {
    /// The number + 1; 0 for none.
    stored: AtomicI32,
}

impl AtomicFd {
    /// The number.
    #[inline]
    pub fn get(&self, order: Ordering) -> Option<i32> {
        from_stored(self.stored.load(order))
    }

    /// Changes the number.
    #[inline]
    pub fn set(&self, fd: Option<i32>, order: Ordering) {
        self.stored.store(to_stored(fd), order);
    }

    /// Changes the number; the one before.
    #[inline]
    pub fn replace(&self, fd: Option<i32>, order: Ordering) -> Option<i32> {
        from_stored(self.stored.swap(to_stored(fd), order))
    }
}

/// No descriptor is the largest integer: RLIMIT_NOFILE is far below.
#[inline]
fn to_stored(fd: Option<i32>) -> i32 {
    fd.map_or(0, |fd| fd.wrapping_add(1))
}

#[inline]
fn from_stored(stored: i32) -> Option<i32> {
    (stored != 0).then(|| stored.wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_no_descriptor_and_descriptor_0_is_one() {
        let fd = AtomicFd::zeroed();
        assert_eq!(fd.get(Ordering::Relaxed), None);
        fd.set(Some(0), Ordering::Relaxed);
        assert_eq!(fd.get(Ordering::Relaxed), Some(0));
        assert_eq!(fd.replace(Some(7), Ordering::Relaxed), Some(0));
        assert_eq!(fd.replace(None, Ordering::Relaxed), Some(7));
        assert_eq!(fd.get(Ordering::Relaxed), None);
    }
}
