//! Reads and writes of a file by one thread: direct, cached, cold, sequential, appending, with
//! fdsyncs.

use std::fs::File;

use aio::aio_abi::{IOCB_CMD_PREAD, IOCB_CMD_PWRITE};

use super::super::job::{Access, Disk, Job, Op};
use super::super::random::Random;
use super::libaio::Libaio;
use super::offsets::Offsets;
use super::phase::Phase;
use super::pipeline::{Ended, Pipeline};
use super::requests::Requests;
use super::{Load, Outcome, file};

/// What cached workloads use of the file, so that warming it up and writing it back is short.
const CACHED_BYTES: u64 = 32 << 20;
/// How long a file becomes before appends start again with an empty one.
pub const APPENDED_BYTES: u64 = 64 << 20;

/// A workload on one file.
pub struct DiskLoad<'a> {
    pipeline: Pipeline<'a>,
    file: File,
    disk: &'a Disk,
}

/// One of so many batches is timed.
pub fn sampling(disk: &Disk) -> u32 {
    if disk.access == Access::Cached && disk.batch == 1 { 8 } else { 1 }
}

impl<'a> DiskLoad<'a> {
    /// Opens the file and brings the page cache into the state that the workload needs.
    pub fn prepare(job: &Job, disk: &'a Disk, library: &'a Libaio) -> Outcome<DiskLoad<'a>> {
        let file = match disk.op {
            Op::Append => file::make_empty(job, disk.access)?,
            _ => file::open_data(job, disk.access)?,
        };
        let mut bytes = job.data_bytes;
        if disk.access == Access::Cached && disk.op != Op::Append {
            bytes = bytes.min(CACHED_BYTES);
            file::warm_cache(&file, bytes)?;
        }
        let blocks = bytes / disk.size as u64;
        let (opcode, offsets) = match disk.op {
            Op::RandomRead if disk.access == Access::Cold => {
                (IOCB_CMD_PREAD, Offsets::Once { last: 0, blocks, left: blocks })
            }
            Op::RandomRead => (IOCB_CMD_PREAD, Offsets::Random { random: Random::new(1), blocks }),
            Op::RandomWrite | Op::WriteSync => {
                (IOCB_CMD_PWRITE, Offsets::Random { random: Random::new(1), blocks })
            }
            Op::SequentialRead => {
                (IOCB_CMD_PREAD, Offsets::Ascending { next: 0, blocks, endless: true })
            }
            Op::SequentialWrite => {
                (IOCB_CMD_PWRITE, Offsets::Ascending { next: 0, blocks, endless: true })
            }
            Op::Append => {
                let blocks = APPENDED_BYTES / disk.size as u64;
                (IOCB_CMD_PWRITE, Offsets::Ascending { next: 0, blocks, endless: false })
            }
        };
        let mut requests = Requests::new(&file, opcode, offsets, disk.size);
        requests.syncs = disk.op == Op::WriteSync;
        let context = library.setup(disk.depth)?;
        let pipeline = Pipeline::new(context, requests, disk.depth, disk.batch);
        Ok(DiskLoad { pipeline, file, disk })
    }

    /// Makes the file as it was before the pass.
    fn renew(&mut self) -> Outcome {
        self.pipeline.requests.offsets.restart();
        match (self.disk.op, self.disk.access) {
            (Op::Append, _) => file::truncate(&self.file),
            (_, Access::Cold) => file::drop_cache(&self.file),
            _ => Ok(()),
        }
    }
}

impl Load for DiskLoad<'_> {
    fn run(&mut self, phase: &mut Phase) -> Outcome {
        self.pipeline.requests.verifies = phase.is_warm_up;
        loop {
            phase.pause();
            self.renew()?;
            phase.resume();
            let deadline = phase.deadline();
            if self.pipeline.run(deadline, &mut phase.recorder)? == Ended::Time {
                return Ok(());
            }
        }
    }

    fn settle(&mut self) -> Outcome {
        if self.disk.op == Op::RandomWrite && self.disk.access == Access::Cached {
            file::sync(&self.file)?;
        }
        Ok(())
    }
}
