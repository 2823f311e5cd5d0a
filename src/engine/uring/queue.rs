//! The requests of one io_submit that have not entered io_uring, and the writes that those behind
//! them must not overtake.

use crate::request::decode::Transfer;
use crate::request::{Request, Task};
use crate::sys::file::Direction;
use crate::sys::file_info::Identity;

/// How many requests enter the kernel together at most.
const QUEUED: usize = 32;
/// How many punted writes are remembered.
const PUNTED: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct SubmitBatch {
    requests: [Option<&'static Request>; QUEUED],
    count: usize,
    /// Where the writes among them go: from, to; in all files.
    writes: [(u64, u64); QUEUED],
    write_count: usize,
    /// Union of the ranges of the batch's writes that were punted to io-wq.
    punted_range: Option<(u64, u64)>,
    /// Those writes: index and generation; the oldest were waited for already.
    punted: [Option<(u32, u32)>; PUNTED],
}

impl SubmitBatch {
    pub fn new() -> SubmitBatch {
        SubmitBatch {
            requests: [None; QUEUED],
            count: 0,
            writes: [(0, 0); QUEUED],
            write_count: 0,
            punted_range: None,
            punted: [None; PUNTED],
        }
    }

    /// Whether something has to enter the kernel.
    #[inline]
    pub fn has_requests(&self) -> bool {
        self.count > 0
    }

    /// Whether what is queued has to enter the kernel before a transfer may: a queued write that
    /// the caller has to do after all must not come after what follows it. Ranges are compared
    /// whatever the file: two descriptors may mean one.
    pub fn is_in_the_way_of(&self, transfer: &Transfer) -> bool {
        let (from, to) = range(transfer);
        let writes = self.writes.iter().take(self.write_count);
        self.count == QUEUED || writes.into_iter().any(|(start, end)| from < *end && *start < to)
    }

    /// The writes among the requests, by index and generation, that a transfer of `file` overlaps.
    pub fn overlapped(
        &self,
        transfer: &Transfer,
        file: Option<Identity>,
    ) -> [Option<(u32, u32)>; QUEUED] {
        let (from, to) = range(transfer);
        let mut found = [None; QUEUED];
        for (place, request) in found.iter_mut().zip(self.requests.iter().take(self.count)) {
            if let Some(request) = request
                && let Some(Task::Transfer(other)) = request.work().map(|work| &work.task)
                && other.direction == Direction::Write
                && request.file() == file
            {
                let (start, end) = range(other);
                *place =
                    (from < end && start < to).then_some((request.index(), request.generation()));
            }
        }
        found
    }

    /// Whether what is queued has to enter the kernel before a sync may.
    pub fn is_in_the_way_of_syncs(&self) -> bool {
        self.count == QUEUED || self.write_count > 0
    }

    /// Notes a transfer that is about to be added.
    pub fn note(&mut self, transfer: &Transfer) {
        if transfer.direction == Direction::Write
            && let Some(place) = self.writes.get_mut(self.write_count)
        {
            *place = range(transfer);
            self.write_count += 1;
        }
    }

    /// Adds a request; there is room, as `is_in_the_way_of` has told.
    pub fn push(&mut self, request: &'static Request) {
        if let Some(place) = self.requests.get_mut(self.count) {
            *place = Some(request);
            self.count += 1;
        }
    }

    /// A transfer was punted to io-wq: what follows may overtake it.
    pub fn note_punted(&mut self, transfer: &Transfer) {
        if transfer.direction == Direction::Write {
            let (from, to) = range(transfer);
            let (start, end) = self.punted_range.unwrap_or((from, to));
            self.punted_range = Some((start.min(from), end.max(to)));
        }
    }

    /// Whether a transfer could overtake a punted write.
    pub fn overlaps_punted(&self, transfer: &Transfer) -> bool {
        let (from, to) = range(transfer);
        self.punted_range.is_some_and(|(start, end)| from < end && start < to)
    }

    /// Remembers a punted request; if there is no room, returns the one that has to be waited for
    /// in its place.
    pub fn remember_punted(&mut self, request: &Request) -> Option<(u32, u32)> {
        let first = self.punted[0].take();
        self.punted.rotate_left(1);
        self.punted[PUNTED - 1] = Some((request.index(), request.generation()));
        first
    }

    /// Takes the punted writes out.
    pub fn take_punted(&mut self) -> Option<[Option<(u32, u32)>; PUNTED]> {
        self.punted_range.take()?;
        Some(core::mem::replace(&mut self.punted, [None; PUNTED]))
    }

    /// Takes everything out.
    pub fn take(&mut self) -> ([Option<&'static Request>; QUEUED], usize) {
        self.write_count = 0;
        (self.requests, core::mem::take(&mut self.count))
    }
}

fn range(transfer: &Transfer) -> (u64, u64) {
    let offset = transfer.offset as u64;
    (offset, offset.saturating_add(transfer.buffer.len()))
}
