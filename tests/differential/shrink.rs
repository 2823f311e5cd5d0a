//! Makes a failing program smaller, as long as it fails.

use crate::program::Program;

/// The smallest program found in which `fails` holds, asked at most `most` times.
pub fn shrink(program: &Program, most: usize, mut fails: impl FnMut(&Program) -> bool) -> Program {
    let mut best = program.clone();
    let mut asked = 0;
    let mut try_out = |candidate: Program, best: &mut Program| -> bool {
        asked += 1;
        let is_smaller = asked <= most && fails(&candidate);
        if is_smaller {
            *best = candidate;
        }
        is_smaller
    };
    // Calls, in halves first and then one at a time, from the end.
    let mut length = best.calls.len() / 2;
    while length > 0 {
        let mut from = best.calls.len().saturating_sub(length);
        loop {
            if from + length <= best.calls.len() {
                let mut candidate = best.clone();
                candidate.calls.drain(from..from + length);
                try_out(candidate, &mut best);
            }
            if from == 0 {
                break;
            }
            from = from.saturating_sub(length);
        }
        length /= 2;
    }
    // Arguments: none rather than some.
    for index in 0..best.calls.len() {
        for position in 0..best.calls[index].arguments.len() {
            if best.calls[index].arguments[position] != 0 {
                let mut candidate = best.clone();
                candidate.calls[index].arguments[position] = 0;
                try_out(candidate, &mut best);
            }
        }
    }
    best
}

/// What the harness itself has to show.
pub fn finds_the_two_calls_that_matter() {
    let mut program = Program::default();
    for number in 0..40 {
        program.call(if number == 7 || number == 31 { "feed" } else { "drain" }, &[number, 5]);
    }
    let fails = |program: &Program| {
        program.calls.iter().filter(|call| call.name == "feed").count() == 2
            && program.calls.iter().any(|call| call.arguments[0] == 31)
    };
    let small = shrink(&program, 1000, fails);
    assert_eq!(small.lines(), "feed 0 0\nfeed 31 0\n.\n");
}
