//! CLOCK_MONOTONIC, and the arithmetic of timeouts.

use libc::{CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, timespec};

const SECOND: i64 = 1_000_000_000;

/// The time since boot. Through the vDSO: no system call.
pub fn now() -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec`; with this clock it cannot fail.
    unsafe { libc::clock_gettime(CLOCK_MONOTONIC, &raw mut now) };
    now
}

/// The time between two ticks of the kernel's clock, less than a second. Through the vDSO.
pub fn tick() -> timespec {
    let mut tick = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec`; with this clock it cannot fail.
    unsafe { libc::clock_getres(CLOCK_MONOTONIC_COARSE, &raw mut tick) };
    tick
}

/// The moment when `span` from now is over.
pub fn after(span: &timespec) -> timespec {
    let now = now();
    let nanos = now.tv_nsec + span.tv_nsec;
    timespec {
        tv_sec: now.tv_sec.saturating_add(span.tv_sec).saturating_add(nanos / SECOND),
        tv_nsec: nanos % SECOND,
    }
}

/// Nanoseconds since the clock's beginning.
pub fn nanoseconds(moment: &timespec) -> u64 {
    (moment.tv_sec as u64).saturating_mul(SECOND as u64).saturating_add(moment.tv_nsec as u64)
}

/// Nanoseconds from one moment to a later one.
pub fn between(from: &timespec, to: &timespec) -> i64 {
    (to.tv_sec - from.tv_sec).saturating_mul(SECOND).saturating_add(to.tv_nsec - from.tv_nsec)
}

/// Whether a moment has passed.
pub fn is_over(moment: &timespec) -> bool {
    between(&now(), moment) <= 0
}

/// What is left until `deadline`; zero if it is over.
pub fn until(deadline: &timespec) -> timespec {
    let now = now();
    let mut left =
        timespec { tv_sec: deadline.tv_sec - now.tv_sec, tv_nsec: deadline.tv_nsec - now.tv_nsec };
    if left.tv_nsec < 0 {
        left.tv_sec -= 1;
        left.tv_nsec += SECOND;
    }
    if left.tv_sec < 0 { timespec { tv_sec: 0, tv_nsec: 0 } } else { left }
}

/// How long a caller of io_getevents wants to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Not at all.
    Zero,
    /// Some nanoseconds, more than 0.
    Nanoseconds(i64),
    /// As long as it takes.
    Never,
}

impl Timeout {
    /// fs/aio.c, read_events, and include/linux/time64.h, timespec64_to_ktime: nothing is checked,
    /// the sum is taken modulo 2^64, and a negative one never ends.
    pub fn from_timespec(timeout: &timespec) -> Timeout {
        const MAX_SECONDS: i64 = i64::MAX / SECOND;
        if timeout.tv_sec >= MAX_SECONDS {
            return Timeout::Never;
        }
        match timeout.tv_sec.wrapping_mul(SECOND).wrapping_add(timeout.tv_nsec) {
            0 => Timeout::Zero,
            total if total < 0 => Timeout::Never,
            total => Timeout::Nanoseconds(total),
        }
    }

    /// The moment when it is over.
    pub fn deadline(self) -> Option<timespec> {
        match self {
            Timeout::Zero => Some(now()),
            Timeout::Nanoseconds(total) => {
                Some(after(&timespec { tv_sec: total / SECOND, tv_nsec: total % SECOND }))
            }
            Timeout::Never => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_sums_and_never_invalid() {
        let sum = |tv_sec, tv_nsec| Timeout::from_timespec(&timespec { tv_sec, tv_nsec });
        assert_eq!(sum(0, 0), Timeout::Zero);
        assert_eq!(sum(5, -5 * SECOND), Timeout::Zero);
        assert_eq!(sum(i64::MIN, 0), Timeout::Zero);
        assert_eq!(sum(-1, 1_100_000_000), Timeout::Nanoseconds(100_000_000));
        assert_eq!(sum(0, 2 * SECOND), Timeout::Nanoseconds(2 * SECOND));
        assert_eq!(sum(-1, 0), Timeout::Never);
        assert_eq!(sum(0, -1), Timeout::Never);
        assert_eq!(sum(9_223_372_036, 0), Timeout::Never);
        assert_eq!(sum(i64::MAX, 0), Timeout::Never);
    }

    #[test]
    fn a_deadline_comes() {
        let deadline = after(&timespec { tv_sec: 3, tv_nsec: SECOND - 1 });
        let left = until(&deadline);
        assert!((3..=4).contains(&left.tv_sec), "{left:?}");
        let past = timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!((until(&past).tv_sec, until(&past).tv_nsec), (0, 0));
    }
}
