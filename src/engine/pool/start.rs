//! Operations that workers get become requests, which hold their files and wait in the queue of
//! their context.

use crate::completion::Completions;
use crate::engine::batch::{Batch, Checked};
use crate::engine::pool::{PoolQueue, Refused};
use crate::engine::{Placement, Started, placement, work};
use crate::files::holds::{Share, Source};
use crate::files::resfd::Resfd;
use crate::process::fork_gate::{self, Section};
use crate::request::Task;
use crate::request::state::Claim;
use crate::sys::cred::Credentials;
use crate::sys::errno::Result;
use crate::sys::fd::StatusFlags;
use crate::sys::file::Direction;
use crate::sys::file_info::FileInfo;

/// What a request holds.
struct Held {
    file: Share,
    resfd: Option<Resfd>,
    section: Section,
}

impl PoolQueue {
    /// See [`crate::engine::Engines::start`].
    #[cold]
    pub fn start(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        status: StatusFlags,
        task: Task,
    ) -> Result<Started> {
        batch.let_old_pins_go(&self.completions().holds);
        let fd = checked.iocb.fildes;
        let Ok(info) = batch.info(fd) else { return Ok(Started::Caller(task)) };
        let size = match &task {
            Task::Transfer(transfer)
                if placement::by_blocks(fd, status, transfer, &info) == Placement::Asynchronous =>
            {
                info.end()
            }
            Task::Sync { .. } => u64::MAX,
            _ => return Ok(Started::Caller(task)),
        };
        let source = Source { fd, file: Some(info.identity), status };
        let Ok(held) = self.hold(batch, checked, source) else {
            return Ok(Started::Caller(task));
        };
        let credentials = match is_open_to_all(&task, &info) {
            true => self.usual_credentials(),
            false => batch.credentials(),
        };
        self.queue_or_perform(batch, checked, held, task, size, credentials)?;
        Ok(Started::Asynchronous)
    }

    /// Holds the file and the eventfd of an iocb; `source`: which file it was a moment before.
    fn hold(&'static self, batch: &mut Batch, checked: &Checked, source: Source) -> Result<Held> {
        let Completions { holds, resfds, .. } = self.completions();
        let section = fork_gate::enter();
        let file = batch.hold(holds, &source, &section)?;
        match batch.share_signal(checked, resfds, &section) {
            Ok(resfd) => Ok(Held { file, resfd, section }),
            Err(error) => {
                drop(section);
                holds.release(file);
                Err(error)
            }
        }
    }

    /// Hands a request to the workers; without any, does it here. `size`: where its file ends.
    fn queue_or_perform(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        Held { file, resfd, section }: Held,
        task: Task,
        size: u64,
        credentials: Credentials,
    ) -> Result<()> {
        let completions = self.completions();
        let request = match checked.begin(completions, resfd, task) {
            Ok(request) => request,
            Err(error) => {
                drop(section);
                completions.holds.release(file);
                return Err(error);
            }
        };
        request.set_share(file);
        request.set_size(size);
        drop(section);
        match self.push(request, credentials) {
            Ok(()) => batch.has_queued = true,
            Err(Refused) if request.state.claim() == Claim::Won => {
                // What came before starts before.
                self.flush(batch);
                request.set_credentials(batch.credentials());
                request.set_result(work::perform(request, &completions.holds));
                completions.put(request);
            }
            Err(Refused) => {}
        }
        completions.put(request);
        Ok(())
    }

    /// Gives up what the batch holds, and calls workers for what it has queued.
    #[inline]
    pub fn flush(&'static self, batch: &mut Batch) {
        // First: a program that has an event finds the file closed if it has closed it.
        batch.release_pins(&self.completions().holds);
        if core::mem::take(&mut batch.has_queued) {
            self.wake_workers(|| batch.credentials());
        }
    }
}

/// Whether it does not matter whose credentials the thread has: disk file systems look at them when
/// a file is opened, and when it is written to, not when it is read.
fn is_open_to_all(task: &Task, info: &FileInfo) -> bool {
    matches!(task, Task::Transfer(transfer) if transfer.direction == Direction::Read)
        && info.is_on_device
}
