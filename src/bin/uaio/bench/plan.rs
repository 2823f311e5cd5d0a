//! The workloads.

use super::job::{Access, Disk, Kind, Op, Sharing};

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name, for `--only`.
    pub name: String,
    /// What it is, in words.
    pub about: String,
    /// Whether `--quick` runs it.
    pub quick: bool,
    /// Whether file systems are compared by it.
    pub for_file_systems: bool,
    /// The loop.
    pub kind: Kind,
}

impl Workload {
    fn new(name: &str, about: String, kind: Kind) -> Workload {
        let quick = QUICK.contains(&name);
        let for_file_systems = FOR_FILE_SYSTEMS.contains(&name);
        Workload { name: name.to_string(), about, quick, for_file_systems, kind }
    }
}

const QUICK: [&str; 21] = [
    "direct-read-d1",
    "direct-read-d32-b16",
    "direct-write-d32-b16",
    "cached-read-d1",
    "cached-read-d16-b16",
    "cold-read-d32-b16",
    "buffered-write-d1",
    "buffered-append-d1",
    "sequential-read-128k",
    "write-fdsync-d1",
    "direct-append-d1",
    "threads-one-context",
    "eventfd-ring-d1",
    "eventfd-ring-d32",
    "qemu-d1",
    "qemu-d64",
    "poll-armed-16",
    "poll-ready-64",
    "setup-destroy",
    "contexts-100",
    "interruptions",
];

const FOR_FILE_SYSTEMS: [&str; 7] = [
    "direct-read-d32-b16",
    "direct-write-d32-b16",
    "cached-read-d16-b16",
    "buffered-write-d1",
    "buffered-append-d1",
    "write-fdsync-d1",
    "direct-append-d1",
];

const BLOCK: usize = 4096;
const LARGE: usize = 128 << 10;

/// All workloads, in the order of the table.
pub fn all() -> Vec<Workload> {
    let mut all = Vec::new();
    let matrix = [(1, 1), (8, 1), (8, 8), (32, 1), (32, 16), (128, 1), (128, 16)];
    for (name, op, words) in [
        ("direct-read", Op::RandomRead, "direct random reads"),
        ("direct-write", Op::RandomWrite, "direct random overwrites"),
    ] {
        all.extend(matrix.map(|(depth, batch)| {
            disk(name, words, Disk { access: Access::Direct, op, size: BLOCK, depth, batch })
        }));
    }
    let small = |name, words, access, op, shapes: &[(usize, usize)]| -> Vec<Workload> {
        let shapes = shapes.iter();
        shapes
            .map(|&(depth, batch)| {
                disk(name, words, Disk { access, op, size: BLOCK, depth, batch })
            })
            .collect()
    };
    let one_and_batch = [(1, 1), (16, 16)];
    use {Access::*, Op::*};
    all.extend(small("cached-read", "cached reads", Cached, RandomRead, &one_and_batch));
    all.extend(small("cold-read", "cold buffered reads", Cold, RandomRead, &[(32, 1), (32, 16)]));
    all.extend(small("buffered-write", "buffered overwrites", Cached, RandomWrite, &one_and_batch));
    all.extend(small("buffered-append", "buffered appends", Cached, Append, &one_and_batch));
    for (name, op, words) in [
        ("sequential-read-128k", SequentialRead, "direct sequential reads"),
        ("sequential-write-128k", SequentialWrite, "direct sequential overwrites"),
    ] {
        let about = format!("{words} of 128 KiB, depth 8");
        let disk = Disk { access: Direct, op, size: LARGE, depth: 8, batch: 1 };
        all.push(Workload::new(name, about, Kind::Disk(disk)));
    }
    let words = "direct random overwrites, each with an fdsync after it";
    all.extend(small("write-fdsync", words, Direct, WriteSync, &[(1, 1), (8, 1)]));
    all.extend(small("direct-append", "direct appends", Direct, Append, &one_and_batch));
    all.extend(threads());
    for depth in [1, 32] {
        let about = format!("direct reads, eventfd, events taken out of the ring, depth {depth}");
        all.push(Workload::new(&format!("eventfd-ring-d{depth}"), about, Kind::Eventfd { depth }));
    }
    for depth in [1, 64] {
        let about = format!("direct sequential reads as qemu-img bench does them, depth {depth}");
        all.push(Workload::new(&format!("qemu-d{depth}"), about, Kind::Qemu { depth }));
    }
    all.extend(polls());
    for (name, words, with_read) in [
        ("setup-destroy", "io_setup, io_destroy", false),
        ("setup-read-destroy", "io_setup, one direct read, io_destroy", true),
    ] {
        all.push(Workload::new(name, words.to_string(), Kind::Lifecycle { with_read }));
    }
    for count in [1, 10, 100, 1000] {
        let about = format!("direct reads one at a time, round {count} contexts");
        all.push(Workload::new(&format!("contexts-{count}"), about, Kind::Contexts { count }));
    }
    let about =
        "blocking calls of a thread that has 32 direct reads in flight, how many are cut short";
    let kind = Kind::Interruptions { depth: 32 };
    all.push(Workload::new("interruptions", about.to_string(), kind));
    all
}

/// A disk workload, named by its depth and batch.
fn disk(name: &str, words: &str, disk: Disk) -> Workload {
    let Disk { depth, batch, .. } = disk;
    let (mut name, mut about) = (format!("{name}-d{depth}"), format!("{words}, depth {depth}"));
    if batch > 1 {
        name += &format!("-b{batch}");
        about += &format!(", batch {batch}");
    }
    Workload::new(&name, about, Kind::Disk(disk))
}

fn threads() -> impl Iterator<Item = Workload> {
    [
        ("threads-own-contexts", Sharing::OwnContexts, 32, "two threads, a context each"),
        ("threads-one-context", Sharing::OneContext, 32, "two threads on one context"),
        ("threads-split-d1", Sharing::SubmitterAndReaper, 1, "a thread submits, another reaps"),
        ("threads-split-d32", Sharing::SubmitterAndReaper, 32, "a thread submits, another reaps"),
    ]
    .into_iter()
    .map(|(name, sharing, depth, words)| {
        let about = format!("direct random reads, {words}, depth {depth}");
        Workload::new(name, about, Kind::Threads { sharing, depth })
    })
}

fn polls() -> Vec<Workload> {
    let mut all = Vec::new();
    for (idle, counts) in [(0, &[1, 16, 64, 1000][..]), (10_000, &[64])] {
        for (way, ready_first, words) in [
            ("armed", false, "polls that become ready after io_submit"),
            ("ready", true, "polls that are ready at io_submit"),
        ] {
            for &fds in counts {
                let (mut name, mut about) = (format!("poll-{way}-{fds}"), format!("{fds} {words}"));
                if idle > 0 {
                    name += &format!("-idle{idle}");
                    about += &format!(", beside {idle} idle ones");
                }
                all.push(Workload::new(&name, about, Kind::Polls { fds, idle, ready_first }));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_chosen_ones_exist() {
        let names: Vec<String> = all().into_iter().map(|workload| workload.name).collect();
        let unique: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for name in QUICK.iter().chain(&FOR_FILE_SYSTEMS) {
            assert!(names.iter().any(|it| it == name), "{name}");
        }
    }

    #[test]
    fn no_batch_is_larger_than_its_depth() {
        for workload in all() {
            if let Kind::Disk(disk) = workload.kind {
                assert!(disk.batch <= disk.depth, "{}", workload.name);
                assert_eq!(disk.size % BLOCK, 0, "{}", workload.name);
            }
        }
    }
}
