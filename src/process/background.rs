//! Whether the harvester, the background thread, harvests for a source of completions.

use bytemuck::Zeroable;

use crate::process::rundown::Rundown;
use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// Number of the harvester that runs.
static CURRENT: AtomicU32 = AtomicU32::new(0);
const LAST_NUMBER: u32 = u32::MAX - 1;

/// A number for a harvester that starts; not 0. Under the harvester's lock.
pub fn next_harvester() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.load(Ordering::Relaxed) % LAST_NUMBER + 1;
    LAST.store(number, Ordering::Relaxed);
    CURRENT.store(number, Ordering::Relaxed);
    number
}

/// What a source knows of its harvester. All-zero memory is a source that has none.
#[derive(Debug, Default, Zeroable)]
pub struct Background {
    /// What the harvester enters to harvest.
    rundown: Rundown,
    /// Which harvester harvests; 0: none.
    harvester: AtomicU32,
    /// Which harvester counts this source among those it serves; 0: none.
    counted: AtomicU32,
    /// The harvester harvests, or shall.
    is_wanted: AtomicBool,
    /// CPU + 1 of the last submitter; 0 if that is not known.
    cpu: AtomicU32,
}

impl Background {
    /// A context begins.
    pub fn reset(&self) {
        self.is_wanted.store(false, Ordering::Relaxed);
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
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    /// Whether the harvester that runs harvests.
    #[inline]
    pub fn is_served(&self) -> bool {
        // Relaxed: a change by another thread is as good a moment later.
        self.is_wanted()
            && self.harvester.load(Ordering::Relaxed) == CURRENT.load(Ordering::Relaxed)
    }

    /// The harvester has to look anew: what it watches was replaced.
    pub fn detach(&self) {
        self.harvester.store(0, Ordering::Relaxed);
    }

    /// From here on the harvester of this number harvests.
    pub fn attach(&self, harvester: u32) {
        self.rundown.open();
        self.harvester.store(harvester, Ordering::Relaxed);
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Harvests for the harvester, unless [`Background::close_and_wait`] came first.
    pub fn enter(&self, harvest: impl FnOnce()) {
        self.rundown.enter(harvest);
    }

    /// Keeps the harvester out and waits until it has left.
    pub fn close_and_wait(&self) {
        self.rundown.close_and_wait();
        self.is_wanted.store(false, Ordering::Relaxed);
        self.harvester.store(0, Ordering::Relaxed);
        self.counted.store(0, Ordering::Relaxed);
    }

    /// Notes that a harvester serves this source. False: it was noted before. Under the harvester's
    /// lock.
    pub fn count_for(&self, harvester: u32) -> bool {
        self.counted.swap(harvester, Ordering::Relaxed) != harvester
    }

    /// Whether a harvester serves this source. Under the harvester's lock.
    pub fn is_counted_for(&self, harvester: u32) -> bool {
        self.counted.load(Ordering::Relaxed) == harvester
    }
}
