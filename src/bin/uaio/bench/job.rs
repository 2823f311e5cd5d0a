//! What the command and its workers tell each other: one job there, one answer back, as JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::blocking::BlockingCalls;

/// One measurement that a worker makes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The libaio to load.
    pub library: PathBuf,
    /// What to do with it.
    pub kind: Kind,
    /// The file that is read and overwritten; every block of it has been written.
    pub data: PathBuf,
    /// Its size in bytes, a power of two.
    pub data_bytes: u64,
    /// Where a file for appends can be made.
    pub directory: PathBuf,
    /// Seconds that are not counted.
    pub warm_up: f64,
    /// Seconds that are.
    pub seconds: f64,
}

/// The loop that a workload is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reads and writes of a file by one thread on one context.
    Disk(Disk),
    /// Direct random reads by two threads.
    Threads {
        /// How the threads divide the work.
        sharing: Sharing,
        /// Requests in flight, of both threads together.
        depth: usize,
    },
    /// Direct random reads that are announced by an eventfd and taken out of the ring memory.
    Eventfd {
        /// Requests in flight.
        depth: usize,
    },
    /// Direct sequential reads in an event loop like QEMU's.
    Qemu {
        /// Requests in flight.
        depth: usize,
    },
    /// Blocking calls of a thread whose direct random reads complete meanwhile.
    Interruptions {
        /// Requests in flight.
        depth: usize,
    },
    /// Polls of eventfds, armed anew each round.
    Polls {
        /// Descriptors that become ready in each round.
        fds: usize,
        /// Descriptors with a poll that never become ready.
        idle: usize,
        /// Whether they are made ready before the polls are submitted.
        ready_first: bool,
    },
    /// io_setup and io_destroy.
    Lifecycle {
        /// Whether one direct read is done in between.
        with_read: bool,
    },
    /// Direct random reads, one at a time, each on the next context.
    Contexts {
        /// How many there are.
        count: usize,
    },
}

impl Kind {
    /// Whether its speed is compared; else it only counts.
    pub fn is_compared(&self) -> bool {
        !matches!(self, Kind::Interruptions { .. })
    }

    /// Whether its requests are such as an engine does in the background.
    pub fn is_asynchronous(&self) -> bool {
        match self {
            Kind::Disk(disk) => disk.access == Access::Direct && disk.op != Op::Append,
            Kind::Threads { .. }
            | Kind::Eventfd { .. }
            | Kind::Qemu { .. }
            | Kind::Interruptions { .. }
            | Kind::Contexts { .. } => true,
            Kind::Polls { .. } | Kind::Lifecycle { .. } => false,
        }
    }
}

/// Reads and writes of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// How the file is opened and what is in the page cache.
    pub access: Access,
    /// What is done with it.
    pub op: Op,
    /// Bytes of one operation.
    pub size: usize,
    /// Requests in flight.
    pub depth: usize,
    /// Requests of one io_submit call.
    pub batch: usize,
}

/// How a file is opened, and what is in the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// O_DIRECT.
    Direct,
    /// Buffered, everything cached.
    Cached,
    /// Buffered, nothing cached.
    Cold,
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Reads at random places.
    RandomRead,
    /// Overwrites at random places.
    RandomWrite,
    /// Reads from the beginning to the end.
    SequentialRead,
    /// Overwrites from the beginning to the end.
    SequentialWrite,
    /// Writes that make a file longer.
    Append,
    /// Each slot overwrites a random place, then waits for an fdsync; the two are one operation.
    WriteSync,
}

/// How two threads divide the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Each has a context of its own.
    OwnContexts,
    /// Both submit and reap on one context.
    OneContext,
    /// One submits, the other reaps.
    SubmitterAndReaper,
}

/// What came of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done.
    Measured(Sample),
    /// The machine lacks what it needs.
    Skipped(String),
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Operations done: requests, writes with their fdsync, or rounds of setup and destroy.
    pub ops: u64,
    /// Events reaped.
    pub events: u64,
    /// Events with a wrong result. A worker that sees one fails, so this is 0.
    pub errors: u64,
    /// Time that it took.
    pub wall_ns: u64,
    /// CPU time of the process in user mode, with all its threads.
    pub user_ns: u64,
    /// CPU time of the process in the kernel, with its io_uring workers.
    pub system_ns: u64,
    /// From before io_submit to after the reaping call; for polls, of a round.
    pub latency: Percentiles,
    /// Duration of the io_submit call.
    pub submit: Percentiles,
    /// For polls: CPU time of the write and the read that belong to one event, without any poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_ns: Option<f64>,
    /// The thread's own blocking calls, where the workload makes some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocking_calls: Vec<BlockingCalls>,
    /// Whether the process had an io_uring at the end.
    pub uring: bool,
}

impl Sample {
    /// Operations per second.
    pub fn throughput(&self) -> f64 {
        self.ops as f64 * 1e9 / self.wall_ns as f64
    }

    /// CPU nanoseconds per operation.
    pub fn cpu(&self) -> f64 {
        (self.user_ns + self.system_ns) as f64 / self.ops as f64
    }

    /// CPU nanoseconds of a poll beyond the write and the read that belong to it.
    pub fn cpu_beyond(&self) -> Option<f64> {
        self.baseline_ns.map(|baseline| self.cpu() - baseline)
    }
}

/// Durations in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// 99 of 100 are not longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
    /// How many were measured.
    pub count: u64,
}
