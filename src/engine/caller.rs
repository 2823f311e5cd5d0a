//! What the calling thread does by itself, before io_submit goes on to the next iocb.

use crate::aio_abi::Event;
use crate::engine::batch::{Batch, Checked};
use crate::engine::stream::PendingSignals;
use crate::engine::{Engines, inline};
use crate::files::resfd::EventfdRef;
use crate::memory::user::{self, KeyAccess, Pages};
use crate::process::fork_generation;
use crate::request::Task;
use crate::request::decode::{self, Transfer};
use crate::sys::errno::Result;
use crate::sys::fd::StatusFlags;
use crate::sys::file::Direction;

impl Engines {
    /// Does a transfer, after what came before has started.
    #[inline]
    pub fn transfer_here(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        status: StatusFlags,
        transfer: &Transfer,
    ) -> Result<()> {
        self.settle(batch);
        batch.may_sleep();
        batch.set_desk(checked, &self.completions().waiters);
        let fd = checked.iocb.fildes;
        let res = inline::transfer(fd, status, transfer, &mut batch.pending_signals);
        if transfer.direction == Direction::Write {
            batch.forget_sizes();
        }
        batch.pending_signals.desk = None;
        if fork_generation::is_forked() {
            return Ok(());
        }
        self.post_here(checked.event(res?), batch.signal(checked));
        Ok(())
    }

    /// Posts the event of what was done here, after those of what the kernel has done before.
    #[inline]
    fn post_here(&self, event: Event, signal: Option<EventfdRef>) {
        self.end_iocbs();
        self.completions().post(event, signal);
    }

    /// Does a sync.
    pub fn sync_here(
        &'static self,
        batch: &mut Batch,
        checked: &Checked,
        data_only: bool,
    ) -> Result<()> {
        self.settle(batch);
        batch.may_sleep();
        let res = inline::sync(checked.iocb.fildes, data_only)?;
        self.post_here(checked.event(res), batch.signal(checked));
        Ok(())
    }

    /// Does a transfer by what is believed of its file, after what came before. False: nothing was
    /// done, and what the file is has to be asked.
    #[inline(always)]
    pub fn attempt(
        &'static self,
        pages: &mut Pages,
        pending_signals: &mut PendingSignals,
        checked: &Checked,
        believed: StatusFlags,
    ) -> bool {
        if checked.has_resfd() || checked.key != KeyAccess::Writable {
            return false;
        }
        let task = decode::task(&checked.iocb, believed, pages);
        let Ok(Task::Transfer(transfer)) = task else { return false };
        let attempted = inline::attempt(checked.iocb.fildes, &transfer, pending_signals);
        if fork_generation::is_forked() {
            return true;
        }
        let Some(res) = attempted else { return false };
        // It cannot fail: that is known beforehand.
        let _ = user::write_key(checked.address, checked.key);
        self.post_here(checked.event(res), None);
        true
    }
}
