//! The random programs of `tests/differential`, with a fuzzer's choices: it looks for programs that reach
//! parts of the library which no program before has reached. One that does not do the same on the
//! system's libaio is made smaller and printed as C, and its choices are kept.
//!
//!     cargo fuzz run --sanitizer none differential
//!
//! Both sides run in processes of their own. What ours has reached comes back through a file, which is
//! named by COVERAGE; see `tests/differential/runtime/coverage.h`.

#![no_main]
#![allow(dead_code, reason = "the tests use all of these modules")]

#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "../../tests/differential/compare.rs"]
mod compare;
#[path = "../../tests/differential/generate.rs"]
mod generate;
#[path = "../../tests/differential/program.rs"]
mod program;
#[path = "../../tests/differential/publish.rs"]
mod publish;
#[path = "../../tests/differential/shrink.rs"]
mod shrink;
#[path = "../../tests/differential/worker.rs"]
mod worker;

use std::cell::RefCell;
use std::env;
use std::fs::File;
use std::os::unix::fs::FileExt;

use libfuzzer_sys::fuzz_target;

use compare::Verdict;
use support::setting::Setting;
use support::{Outcome, Stop, scratch};
use worker::{Side, Worker};

/// As many as `coverage.h` has.
const COUNTERS: usize = 1 << 16;

/// libFuzzer clears them before each input, and looks at them after it.
#[used]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static mut REACHED: [u8; COUNTERS] = [0; COUNTERS];

struct Sides {
    system: Worker,
    ours: Vec<(Setting, Worker)>,
    reached: File,
}

fn start() -> Outcome<Sides> {
    let path = scratch::lasting("fuzz").join(format!("coverage-{}", std::process::id()));
    let reached = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    reached.set_len(COUNTERS as u64)?;
    let library = env::current_exe()?.with_file_name("deps").join("libaio.so");
    // SAFETY: libFuzzer calls the target in one thread, and has no other before the first call.
    unsafe {
        env::set_var("COVERAGE", &path);
        env::set_var("UAIO_LIB", &library);
    }
    let mut system = Worker::new(Side::System)?;
    system.expect_library()?;
    let mut ours = Vec::new();
    for setting in Setting::ALL {
        let mut worker = Worker::new(Side::Ours(setting))?;
        worker.expect_library()?;
        ours.push((setting, worker));
    }
    Ok(Sides { system, ours, reached })
}

fn run(sides: &mut Sides, input: &[u8]) -> Outcome<()> {
    let (setting, program) = generate::input(input, &Setting::ALL);
    let Some((_, ours)) = sides.ours.iter_mut().find(|(of, _)| *of == setting) else {
        return support::fail("a setting without a worker");
    };
    let system = &mut sides.system;
    sides.reached.write_all_at(&[0; COUNTERS], 0)?;
    let reference = system.run(&program)?;
    let verdict = compare::judge(&program, &reference, system, ours)?;
    let reached = &raw mut REACHED;
    // SAFETY: the only use of it here; libFuzzer looks at it when this function has returned, in the
    // same thread.
    sides.reached.read_exact_at(unsafe { &mut *reached }, 0)?;
    match verdict {
        Verdict::Equal | Verdict::Unstable => Ok(()),
        Verdict::Once(what) => {
            println!("once, and not again:\n{what}");
            Ok(())
        }
        Verdict::Different(what) => {
            println!("{}: DIFFERENT:\n{what}", setting.name());
            publish::publish("found", setting, &program, system, ours)?;
            support::fail("a difference")
        }
    }
}

thread_local! {
    static SIDES: RefCell<Option<Sides>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    SIDES.with_borrow_mut(|sides| {
        let outcome = match sides {
            Some(sides) => run(sides, input),
            None => start().and_then(|started| run(sides.insert(started), input)),
        };
        if let Err(Stop::Fail(what) | Stop::Skip(what)) = outcome {
            panic!("{what}");
        }
    });
});
