//! What the calling thread does by itself, before io_submit goes on to the next iocb.

use crate::engine::batch::{Accepted, Batch};
use crate::engine::stream::Interruption;
use crate::engine::{Engines, inline};
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
        accepted: &Accepted,
        status: StatusFlags,
        transfer: &Transfer,
    ) -> Result<()> {
        self.settle(batch);
        batch.may_sleep();
        batch.set_desk(accepted, &self.completions().waiters);
        let fd = accepted.iocb.fildes;
        let res = inline::transfer(fd, status, transfer, &mut batch.interruption);
        if transfer.direction == Direction::Write {
            batch.forget_sizes();
        }
        batch.interruption.desk = None;
        if fork_generation::is_forked() {
            return Ok(());
        }
        let res = res?;
        self.completions().post(accepted.event(res), batch.signal(accepted));
        Ok(())
    }

    /// Does a sync.
    pub fn sync_here(
        &'static self,
        batch: &mut Batch,
        accepted: &Accepted,
        data_only: bool,
    ) -> Result<()> {
        self.settle(batch);
        batch.may_sleep();
        let res = inline::sync(accepted.iocb.fildes, data_only)?;
        self.completions().post(accepted.event(res), batch.signal(accepted));
        Ok(())
    }

    /// Does a transfer by what is believed of its file, after what came before. False: nothing was done, and
    /// what the file is has to be asked.
    #[inline]
    pub fn attempt(
        &'static self,
        pages: &mut Pages,
        interruption: &mut Interruption,
        accepted: &Accepted,
        believed: StatusFlags,
    ) -> bool {
        if accepted.has_resfd() || accepted.key != KeyAccess::Writable {
            return false;
        }
        let task = decode::task(&accepted.iocb, believed, pages);
        let Ok(Task::Transfer(transfer)) = task else { return false };
        let attempted = inline::attempt(accepted.iocb.fildes, &transfer, interruption);
        if fork_generation::is_forked() {
            return true;
        }
        let Some(res) = attempted else { return false };
        // It cannot fail: that is known beforehand.
        let _ = user::write_key(accepted.address, accepted.key);
        self.completions().post(accepted.event(res), None);
        true
    }
}
