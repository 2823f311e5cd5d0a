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

pub fn blocking_calls_are_counted() -> Outcome {
    library::system_working()?;
    let scratch = Scratch::new("bench-interruptions");
    let (results, result) = results_of(&scratch, &["--only", "interruptions"])?;
    let [workload] = array(&results["workloads"]) else { return fail("not one workload") };
    assert_eq!(workload["status"], "measured");
    assert!(array(&workload["comparisons"]).is_empty());
    let table = result.stdout.lines().skip_while(|it| !it.starts_with("blocking calls in"));
    let rows: Vec<&str> = table.skip(2).take(4).collect();
    for (row, side) in rows.iter().zip(["native", "kernel", "uring", "pool"]) {
        let calls = array(&workload["blocking_calls"][side]);
        // Not everybody may have a semaphore that goes with its process.
        assert!(calls.len() >= 5, "{side}: {calls:?}");
        let sum = |name: &str| -> Outcome<f64> { calls.iter().map(|it| number(it, name)).sum() };
        let (made, short, eintr) = (sum("calls")?, sum("short")?, sum("eintr")?);
        assert!(made > 0.0 && short + eintr <= made, "{side}: {calls:?}");
        if side == "native" {
            assert_eq!(short + eintr, 0.0, "{calls:?}");
        }
        let figures: Vec<&str> = row.split_whitespace().skip_while(|it| *it != side).collect();
        let expected = [made, short, eintr].map(|figure| figure.to_string());
        expect(figures.get(1..4).is_some_and(|it| it == expected), side, &result)?;
    }
    Ok(())
}
