//! Whether the background thread harvests for a source of completions, and the door through which it
//! comes in: closed before what it harvests goes away.
//!
//! The background thread knows a source by its address, and may come late: the memory of a source is
//! never unmapped, and behind a closed door it finds nothing.

use crate::sync::{AtomicBool, AtomicU32, Ordering};
use crate::sys::futex;

/// Nobody may come in.
const SHUT: u32 = 1 << 31;

/// Number of the harvester that runs.
static CURRENT: AtomicU32 = AtomicU32::new(0);
const LAST_NUMBER: u32 = u32::MAX - 1;

/// A number for a harvester that starts. Under the harvester's lock.
pub fn next_harvester() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.load(Ordering::Relaxed) % LAST_NUMBER + 1;
    LAST.store(number, Ordering::Relaxed);
    CURRENT.store(number, Ordering::Relaxed);
    number
}

/// See the module. All-zero memory is a source that nobody serves.
#[derive(Debug, Default)]
pub struct Service {
    /// Which harvester harvests; 0: none.
    harvester: AtomicU32,
    /// Which harvester counts this source among those it serves; 0: none.
    counted: AtomicU32,
    /// The harvester harvests, or shall.
    is_background: AtomicBool,
    /// Threads of the harvester inside, and [`SHUT`].
    visitors: AtomicU32,
    /// CPU + 1 of the last submitter; 0 if that is not known.
    cpu: AtomicU32,
}

impl Service {
    /// A context begins.
    pub fn open(&self) {
        self.is_background.store(false, Ordering::Relaxed);
        self.harvester.store(0, Ordering::Relaxed);
    }

    /// Notes where the submitter is.
    #[inline]
    pub fn note_cpu(&self, cpu: Option<u32>) {
        self.cpu.store(cpu.map_or(0, |cpu| cpu + 1), Ordering::Relaxed);
    }

    /// Where the last submitter was.
    #[inline]
    pub fn cpu(&self) -> Option<u32> {
        self.cpu.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Whether the harvester harvests, or shall.
    #[inline]
    pub fn is_background(&self) -> bool {
        self.is_background.load(Ordering::Relaxed)
    }

    /// Whether the harvester that runs harvests.
    #[inline]
    pub fn is_served(&self) -> bool {
        // Relaxed: a change by another thread is as good a moment later.
        self.is_background()
            && self.harvester.load(Ordering::Relaxed) == CURRENT.load(Ordering::Relaxed)
    }

    /// The harvester has to look anew: what it watches was replaced.
    pub fn lose(&self) {
        self.harvester.store(0, Ordering::Relaxed);
    }

    /// From here on the harvester of this number harvests.
    pub fn begin(&self, harvester: u32) {
        // AcqRel: pairs with the Acquire in `visit`: a late visit of the harvester that finds the door
        // open sees what belongs to the source. Release for the same.
        self.visitors.fetch_and(!SHUT, Ordering::AcqRel);
        self.harvester.store(harvester, Ordering::Relaxed);
        self.is_background.store(true, Ordering::Relaxed);
    }

    /// Harvests for the harvester, unless [`Service::shut`] came first.
    pub fn visit(&self, harvest: impl FnOnce()) {
        // Acquire: pairs with the Release in `begin`.
        if self.visitors.fetch_add(1, Ordering::Acquire) & SHUT == 0 {
            harvest();
        }
        // Release: our harvest is over for who waits in `shut`.
        if self.visitors.fetch_sub(1, Ordering::Release) == SHUT + 1 {
            futex::wake(&self.visitors, u32::MAX);
        }
    }

    /// Keeps the harvester out and waits until it has left.
    pub fn shut(&self) {
        // AcqRel: pairs with both sides of `visit`: Acquire with its Release, Release with its Acquire.
        let mut visitors = self.visitors.fetch_or(SHUT, Ordering::AcqRel) | SHUT;
        while visitors != SHUT {
            futex::wait(&self.visitors, visitors);
            // Acquire: pairs with the Release in `visit`.
            visitors = self.visitors.load(Ordering::Acquire);
        }
        self.is_background.store(false, Ordering::Relaxed);
        self.harvester.store(0, Ordering::Relaxed);
        self.counted.store(0, Ordering::Relaxed);
    }

    /// Notes that a harvester serves this source. False: it was noted before. Under the harvester's lock.
    pub fn count_for(&self, harvester: u32) -> bool {
        self.counted.swap(harvester, Ordering::Relaxed) != harvester
    }

    /// Whether a harvester serves this source. Under the harvester's lock.
    pub fn is_counted_for(&self, harvester: u32) -> bool {
        self.counted.load(Ordering::Relaxed) == harvester
    }
}
