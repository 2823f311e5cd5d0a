//! That the harness sees what it is to see.

use crate::compare::{self, Verdict};
use crate::program::Program;
use crate::runner;
use crate::shrink;
use crate::support::scratch::{self, Scratch};
use crate::support::{Outcome, c, command, fail, library, shown};
use crate::worker::{Side, Worker};

/// How many programs a lie may need to be seen.
const PROGRAMS: u64 = 400;
const HONEST_PROGRAMS: u64 = 40;

/// What `liar.c` can do, each against one rule or one thing that is compared.
const LIES: &[&str] = &[
    "lost",
    "doubled",
    "data",
    "obj",
    "res",
    "res2",
    "poll_bits",
    "sync_order",
    "cancel",
    "errno",
    "eventfd",
    "signal",
    "count",
    "key",
    "read_data",
    "dead",
    "poll_lost",
    "written_data",
];

pub fn run(seed: u64) -> Outcome<()> {
    shrink::finds_the_two_calls_that_matter();
    all_functions_are_called(seed);
    std::thread::scope(|scope| {
        let lies: Vec<_> =
            LIES.iter().map(|lie| scope.spawn(move || is_noticed(seed, lie))).collect();
        programs_are_the_same_in_c(seed)?;
        the_witness_is_heard(seed)?;
        honesty_is_not_a_difference(seed)?;
        lies.into_iter().try_for_each(|lie| match lie.join() {
            Ok(outcome) => outcome,
            Err(_) => fail("a test of a lie has panicked"),
        })
    })?;
    println!("differential: {} planted differences noticed", LIES.len());
    Ok(())
}

fn all_functions_are_called(seed: u64) {
    let counts = runner::functions((0..300).map(|number| runner::program(seed, number)));
    assert_eq!(counts.len(), 25, "{counts:?}");
}

/// A difference counts where the kernel does the same a second time.
fn is_noticed(seed: u64, lie: &'static str) -> Outcome<()> {
    let (mut system, mut liar) = (Worker::new(Side::System)?, Worker::new(Side::Liar(lie))?);
    for number in 0..PROGRAMS {
        let program = runner::program(seed, number);
        let reference = system.run(&program)?;
        if compare::difference(&reference, &liar.run(&program)?).is_some()
            && system.run(&program)? == reference
        {
            return Ok(());
        }
    }
    fail(format!("the lie {lie:?} is not noticed"))
}

/// The control: without a lie there is no difference that comes again.
fn honesty_is_not_a_difference(seed: u64) -> Outcome<()> {
    let (mut system, mut honest) = (Worker::new(Side::System)?, Worker::new(Side::Liar("none"))?);
    for number in 0..HONEST_PROGRAMS {
        let program = runner::program(seed, number);
        let reference = system.run(&program)?;
        let verdict = compare::judge(&program, &reference, &mut system, &mut honest)?;
        if let Verdict::Different(what) = verdict {
            return fail(format!("program {number} differs without a lie:\n{what}"));
        }
    }
    Ok(())
}

/// What it says is a difference, and it says nothing of an honest library.
fn the_witness_is_heard(seed: u64) -> Outcome<()> {
    let mut honest = Worker::witnessed(Side::System)?;
    let mut liar = Worker::witnessed(Side::Liar("doubled"))?;
    let mut is_heard = false;
    for number in 0..HONEST_PROGRAMS {
        let program = runner::program(seed, number);
        is_heard |= liar.run(&program)?.contains("\nVIOLATION second event ");
        let transcript = honest.run(&program)?;
        if transcript.contains("VIOLATION") {
            return fail(format!("the witness speaks of the system's libaio:\n{transcript}"));
        }
    }
    if is_heard { Ok(()) } else { fail("nothing is heard of the witness") }
}

/// What is printed as C compiles, and does the same.
fn programs_are_the_same_in_c(seed: u64) -> Outcome<()> {
    let (mut system, scratch) = (Worker::new(Side::System)?, Scratch::new("differential-c"));
    let stage = library::staged(&library::system_working()?)?;
    for number in 0..3 {
        let program: Program = runner::program(seed, number);
        let reference = system.run(&program)?;
        let source = scratch.path().join(format!("program{number}.c"));
        std::fs::write(&source, program.c("a test"))?;
        let binary = scratch.path().join(format!("program{number}"));
        let runtime = shown(crate::support::repository("tests/differential/runtime"));
        let search = shown(stage.path());
        c::compile(&shown(&source), &binary, &["-I", &runtime, "-L", &search, "-laio", "-ldl"])?;
        let mut run = std::process::Command::new(&binary);
        run.env("LD_LIBRARY_PATH", stage.path()).current_dir(scratch.path());
        let ended = command::run(&mut run, std::time::Duration::from_secs(30))?.expect_success()?;
        // A program that the kernel does not repeat shows nothing.
        if ended.stdout != reference && system.run(&program)? == reference {
            let again = command::run(&mut run, std::time::Duration::from_secs(30))?;
            if again.stdout != reference {
                return fail(format!("program {number} of seed {seed} is another one in C"));
            }
        }
    }
    let _ = scratch::lasting("differential");
    Ok(())
}
