//! Parts of the benchmark, each run once, briefly.

use super::*;

/// What `--quick` with these `args` writes and prints. It leaves nothing else behind.
fn results_of(scratch: &Scratch, args: &[&str]) -> Outcome<(Value, Ended)> {
    let json = scratch.path().join("out.json");
    let mut command = bench(scratch.path());
    command.args(["--quick", "--json"]).arg(&json).args(args);
    let result = ended(&mut command)?.expect_success()?;
    let results = read_json(&json)?;
    check_closing_line(&results, &result)?;
    assert_eq!(entries(scratch.path())?, [json]);
    Ok((results, result))
}

pub fn the_event_loop_of_qemu_is_compared() -> Outcome {
    library::system_working()?;
    let scratch = Scratch::new("bench-qemu");
    let (results, _) = results_of(&scratch, &["--only", "qemu"])?;
    let workloads = array(&results["workloads"]);
    let names: Vec<String> = workloads.iter().map(|it| text(&it["name"])).collect();
    assert_eq!(names, ["qemu-d1", "qemu-d64"]);
    workloads.iter().try_for_each(|workload| check_workload(workload, "native", 4))
}
