//! Operations that io_uring gets become requests, which wait for the end of the batch.

use crate::engine::batch::{Batch, Checked};
use crate::engine::uring::Uring;
use crate::engine::{Placement, Started, placement};
use crate::files::holds::Source;
use crate::files::pins::{self, Pin};
use crate::process::fork_gate;
use crate::request::Task;
use crate::request::decode::Transfer;
use crate::sync::Ordering;
use crate::sys::errno::Result;
use crate::sys::fd::StatusFlags;
use crate::sys::file::Direction;
use crate::sys::file_info::FileInfo;

impl Uring {
    /// See [`crate::engine::Engines::start`].
    pub fn start(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        status: StatusFlags,
        task: Task,
    ) -> Result<Started> {
        match task {
            Task::Transfer(transfer) => self.start_transfer(batch, checked, status, transfer),
            Task::Sync { data_only } => self.start_sync(batch, checked, data_only),
            Task::Poll { .. } => Ok(Started::Caller(task)),
        }
    }

    fn start_transfer(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        status: StatusFlags,
        transfer: Transfer,
    ) -> Result<Started> {
        let fd = checked.iocb.fildes;
        if transfer.direction == Direction::Write
            && self.hints.is_growing(fd)
            && let Ok(info) = FileInfo::of(fd)
        {
            if placement::direct(status, &transfer, &info) == Placement::Caller {
                return Ok(Started::Caller(Task::Transfer(transfer)));
            }
            self.hints.note_growth(fd, false);
        }
        if batch.queue.is_in_the_way_of(&transfer) {
            let file = batch.identity(fd);
            let overlapped = batch.queue.overlapped(&transfer, file);
            self.flush(batch);
            // That one of them has been refused may be told late, and it must not come last then.
            for (index, generation) in overlapped.into_iter().flatten() {
                self.wait_for(index, generation, 0);
            }
        }
        if batch.queue.overlaps_punted(&transfer) {
            self.flush(batch);
            self.wait_for_punted(batch);
        }
        let resfds = &self.completions().resfds;
        let Ok(resfd) = batch.share_signal(checked, resfds, &fork_gate::enter()) else {
            return Ok(Started::Caller(Task::Transfer(transfer)));
        };
        let file = batch.identity(fd);
        // An attempt may be refused late: io_uring tells by task work, which waits if a completion
        // on another CPU is about to announce its own; and a device may refuse a part. By then the
        // fd may mean another file.
        let is_alone = self.in_flight() == 0 && !batch.queue.has_requests();
        let share = match !is_alone && self.hints.should_hold() {
            true => {
                let holds = &self.completions().holds;
                batch.let_old_pins_go(holds);
                // What cannot be held is attempted all the same.
                batch.hold(holds, &Source { fd, file, status }, &fork_gate::enter()).ok()
            }
            false => None,
        };
        // An answer that it would block is for us, unless the program has asked for it.
        let adds_nowait = !transfer.flags.is_nowait();
        batch.queue.note(&transfer);
        let request = match checked.begin(self.completions(), resfd, Task::Transfer(transfer)) {
            Ok(request) => request,
            Err(error) => {
                if let Some(share) = share {
                    self.completions().holds.release(share);
                }
                return Err(error);
            }
        };
        match (share, file) {
            (Some(share), _) => request.set_share(share),
            (None, Some(file)) => request.set_file(file),
            (None, None) => {}
        }
        request.ring.adds_nowait.store(adds_nowait, Ordering::Relaxed);
        request.ring.retry.begin();
        batch.queue.push(request);
        Ok(Started::Asynchronous)
    }

    fn start_sync(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        data_only: bool,
    ) -> Result<Started> {
        if batch.queue.is_in_the_way_of_syncs() {
            self.flush(batch);
        }
        self.wait_for_punted(batch);
        let (fd, task) = (checked.iocb.fildes, Task::Sync { data_only });
        let before = batch.identity(fd);
        // A sync in io_uring goes to io-wq, which looks the file up when it starts.
        let section = fork_gate::enter();
        let Ok(pin) = pins::duplicate(fd).map(Pin::new) else { return Ok(Started::Caller(task)) };
        let resfds = &self.completions().resfds;
        let Ok(resfd) = batch.share_signal(checked, resfds, &section) else {
            return Ok(Started::Caller(task));
        };
        let request = checked.begin(self.completions(), resfd, task)?;
        let identity = pins::look(pin.raw(), fd, before).map(|info| info.identity);
        if let Some(pin) = pin.into_inner() {
            request.set_pin(pin, identity);
        }
        drop(section);
        self.expect_io_wq();
        request.ring.adds_nowait.store(false, Ordering::Relaxed);
        request.ring.retry.begin();
        batch.queue.push(request);
        Ok(Started::Asynchronous)
    }
}
