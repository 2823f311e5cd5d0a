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
    for (row, side) in rows.iter().zip(["native", "default", "uring", "pool"]) {
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

/// Skips where not one file system can be made.
fn volumes_working(scratch: &Scratch) -> Outcome {
    let mut trial = bench(scratch.path());
    trial.args(["--quick", "--file-systems", "--only", "setup-destroy", "--seconds", "0.01"]);
    let trial = ended(trial.args(["--engines", "pool", "--pairs", "1"]))?;
    if trial.status.code() == Some(1) && trial.stderr.contains("left out") {
        return skip(trial.stderr.trim_end());
    }
    trial.expect_success().map(|_| ())
}

/// Loop devices whose files are or were in `directory`.
fn loop_devices(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let directory = shown(fs::canonicalize(directory)?);
    let is_ours = |device: &PathBuf| {
        fs::read_to_string(device.join("loop/backing_file")).is_ok_and(|it| it.contains(&directory))
    };
    Ok(entries(Path::new("/sys/block"))?.into_iter().filter(is_ours).collect())
}

pub fn file_systems_are_made_and_removed() -> Outcome {
    library::system_working()?;
    let scratch = Scratch::new("bench-file-systems");
    let only = ["--file-systems", "--only", "direct-append-d1", "--only", "cached-read-d1"];
    volumes_working(&scratch)?;
    let (results, result) = results_of(&scratch, &only)?;
    let mut expected = Vec::new();
    for name in ["xfs", "btrfs"] {
        match result.stdout.lines().find(|it| it.starts_with(&format!("{name} is left out: "))) {
            Some(line) => {
                let left_out = array(&results["settings"]["left_out"]);
                assert!(left_out.iter().any(|it| it == line), "{left_out:?}");
                expect(result.stderr.contains(line), "not said at the beginning", &result)?;
            }
            None => expected
                .extend(["cached-read-d1", "direct-append-d1"].map(|it| format!("{name}/{it}"))),
        }
    }
    let workloads = array(&results["workloads"]);
    let names: Vec<String> = workloads.iter().map(|it| text(&it["name"])).collect();
    assert_eq!(names, expected);
    workloads.iter().try_for_each(|workload| check_workload(workload, "native", 4))?;
    assert!(loop_devices(scratch.path())?.is_empty());
    Ok(())
}

pub fn a_file_system_without_mkfs_is_left_out() -> Outcome {
    let scratch = Scratch::new("bench-left-out");
    let programs = scratch.path().join("programs");
    fs::create_dir(&programs)?;
    let mut command = bench(scratch.path());
    command.args(["--quick", "--file-systems"]).env("PATH", &programs);
    let result = ended(&mut command)?;
    expect_error(&result, 1, "xfs is left out: ")?;
    expect_error(&result, 1, "; btrfs is left out: ")?;
    let one_line = result.stderr.lines().count() == 1;
    expect(one_line && result.stdout.is_empty(), "more was said", &result)?;
    assert_eq!(entries(scratch.path())?, [programs]);

    let file = scratch.path().join("file");
    fs::write(&file, "")?;
    let result = ended(bench(scratch.path()).args(["--file-systems", "--file", "file"]))?;
    expect_error(&result, 2, "wants a directory")
}

pub fn a_stopped_run_leaves_no_file_system() -> Outcome {
    library::system_working()?;
    volumes_working(&Scratch::new("bench-file-systems-tried"))?;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let scratch = Scratch::new("bench-file-systems-stopped");
        let mut command = bench(scratch.path());
        command.args(["--quick", "--file-systems", "--only", "direct-read-d1", "--seconds", "60"]);
        stop(&mut command, signal)?;
        if signal == libc::SIGKILL {
            // The kernel takes the mounts away some time after the last process.
            let start = Instant::now();
            while !loop_devices(scratch.path())?.is_empty() && start.elapsed() < LIMIT {
                std::thread::sleep(Duration::from_millis(10));
            }
            entries(scratch.path())?.iter().try_for_each(fs::remove_dir)?;
        }
        assert_eq!(loop_devices(scratch.path())?, Vec::<PathBuf>::new());
        assert_eq!(entries(scratch.path())?, Vec::<PathBuf>::new());
    }
    Ok(())
}
