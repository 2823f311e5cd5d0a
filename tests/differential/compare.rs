//! Runs a program on both sides and says what is different.

use crate::program::Program;
use crate::support::Outcome;
use crate::worker::Worker;

/// What became of a program.
#[derive(Debug)]
pub enum Verdict {
    Equal,
    /// The kernel itself does not do it the same each time.
    Unstable,
    /// The lines that differ.
    Different(String),
    /// It differed once and then not again.
    Once(String),
}

/// How often a difference has to come again.
const REPEATS: usize = 4;

/// The first lines that differ.
pub fn difference(system: &str, ours: &str) -> Option<String> {
    if system == ours {
        return None;
    }
    let (mut left, mut right) = (system.lines(), ours.lines());
    loop {
        match (left.next(), right.next()) {
            (Some(a), Some(b)) if a == b => {}
            (_, Some("HANGS")) => {
                let threads: Vec<_> = right.take_while(|line| line.starts_with("  ")).collect();
                return Some(format!("uaio hangs:\n{}", threads.join("\n")));
            }
            (None, None) => return Some("the ends of the lines".to_string()),
            (a, b) => {
                return Some(format!(
                    "system: {}\nuaio:   {}",
                    a.unwrap_or("(nothing)"),
                    b.unwrap_or("(nothing)")
                ));
            }
        }
    }
}

/// Compares `ours` with what the system has done already.
pub fn judge(
    program: &Program,
    reference: &str,
    system: &mut Worker,
    ours: &mut Worker,
) -> Outcome<Verdict> {
    let Some(first) = difference(reference, &ours.run(program)?) else {
        return Ok(Verdict::Equal);
    };
    let mut again = 0;
    for _ in 0..REPEATS {
        let native = system.run(program)?;
        if native != reference {
            return Ok(Verdict::Unstable);
        }
        again += usize::from(difference(&native, &ours.run(program)?).is_some());
    }
    Ok(if again > 0 { Verdict::Different(first) } else { Verdict::Once(first) })
}

/// Whether the program differs, and the kernel does it the same each time.
pub fn differs(program: &Program, system: &mut Worker, ours: &mut Worker) -> bool {
    let Ok(reference) = system.run(program) else { return false };
    let is_stable = (0..2).all(|_| system.run(program).is_ok_and(|again| again == reference));
    // What happens only now and then needs more than one attempt.
    is_stable && (0..3).any(|_| ours.run(program).is_ok_and(|ours| ours != reference))
}
