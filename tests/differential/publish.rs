//! A program that differs, as somebody wants to see it.

use std::fs;

use crate::compare;
use crate::program::Program;
use crate::shrink;
use crate::support::scratch;
use crate::support::setting::Setting;
use crate::support::{Outcome, shown};
use crate::worker::Worker;

/// How often a failing program is run to make it smaller.
const ATTEMPTS: usize = 300;

/// Makes a failing program smaller and prints it as C.
pub fn publish(
    name: &str,
    setting: Setting,
    program: &Program,
    system: &mut Worker,
    ours: &mut Worker,
) -> Outcome<()> {
    let small =
        shrink::shrink(program, ATTEMPTS, |candidate| compare::differs(candidate, system, ours));
    let (native, own) = (system.run(&small)?, ours.run(&small)?);
    let what = compare::difference(&native, &own).unwrap_or_default();
    let variable = match setting.variable() {
        Some((name, value)) => format!("{name}={value}"),
        None => "no variable".to_string(),
    };
    let text = small.c(&format!("Program {name}, with {variable}:\n{what}"));
    let file = format!("differential-{name}-{}.c", setting.name());
    let path = scratch::lasting("differential").join(file);
    fs::write(&path, &text)?;
    println!("{}:\n{text}", shown(&path));
    Ok(())
}
