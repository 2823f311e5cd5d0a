//! Worker processes: each runs programs, one after the other, on one library.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;

use crate::program::Program;
use crate::support::scratch::{self, Scratch};
use crate::support::setting::Setting;
use crate::support::witness::{self, Report};
use crate::support::{Outcome, c, fail, library, repository, shown};

/// What a worker's programs run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The kernel's AIO.
    System,
    /// The kernel's AIO behind a library that tells a lie, to see that it is noticed.
    Liar(&'static str),
    /// This library.
    Ours(Setting),
}

/// A worker. It is started again when it has died.
pub struct Worker {
    side: Side,
    place: Scratch,
    stage: Scratch,
    witness: Option<Report>,
    running: Option<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

fn build(source: &str, name: &str, flags: &[&str]) -> Outcome<PathBuf> {
    let stage = library::staged(&library::ours())?;
    let output = scratch::lasting("differential").join(name);
    let search = shown(stage.path());
    // Several processes may do this at the same time, and run what is there already.
    let own = output.with_file_name(format!("{name}-{}", std::process::id()));
    c::compile(source, &own, &[&["-L", &search], flags].concat())?;
    std::fs::rename(&own, &output)?;
    Ok(output)
}

fn worker_program() -> Outcome<PathBuf> {
    static PROGRAM: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        build("tests/differential/runtime/worker.c", "worker", &["-rdynamic", "-laio", "-ldl"])
    });
    PROGRAM.clone()
}

fn liar() -> Outcome<PathBuf> {
    static LIAR: LazyLock<Outcome<PathBuf>> = LazyLock::new(|| {
        let map = shown(repository("tests/differential/liar.map"));
        let map = format!("-Wl,--version-script={map}");
        build("tests/differential/liar.c", "liar.so", &["-shared", "-fPIC", &map, "-ldl"])
    });
    LIAR.clone()
}

impl Worker {
    pub fn new(side: Side) -> Outcome<Worker> {
        let file = match side {
            Side::Ours(_) => library::ours(),
            _ => library::system_working()?,
        };
        let (stage, place) = (library::staged(&file)?, Scratch::new("differential"));
        Ok(Worker { side, place, stage, witness: None, running: None })
    }

    /// One whose programs the witness watches: what it finds becomes a part of the transcripts.
    pub fn witnessed(side: Side) -> Outcome<Worker> {
        let mut worker = Worker::new(side)?;
        worker.witness = Some(Report::new(worker.place.path()));
        Ok(worker)
    }

    fn start(&mut self) -> Outcome<()> {
        let mut command = Command::new(worker_program()?);
        command.current_dir(self.place.path()).env("LD_LIBRARY_PATH", self.stage.path());
        command.env_remove("LD_PRELOAD");
        let mut behind = None;
        match self.side {
            Side::Ours(setting) => setting.apply(&mut command),
            Side::System => {}
            Side::Liar(lie) => {
                behind = Some(liar()?);
                command.env("LIE", lie);
            }
        }
        if let Some(report) = &self.witness {
            report.apply(&mut command);
            command.env("LD_PRELOAD", witness::preload(behind.as_deref())?);
        } else if let Some(library) = behind {
            command.env("LD_PRELOAD", library);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return fail("no pipes to the worker");
        };
        self.running = Some((child, input, BufReader::new(output)));
        Ok(())
    }

    /// Runs a program; its transcript. Where a worker dies, that is what the transcript says.
    pub fn run(&mut self, program: &Program) -> Outcome<String> {
        if self.running.is_none() {
            self.start()?;
        }
        let Some((_, input, output)) = &mut self.running else { return fail("no worker") };
        let mut transcript = String::new();
        let sent = input.write_all(program.lines().as_bytes()).and_then(|()| input.flush());
        while sent.is_ok() {
            let mut line = Vec::new();
            if output.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line == b".\n" {
                return Ok(transcript + &self.found());
            }
            transcript.push_str(&String::from_utf8_lossy(&line));
        }
        self.stop();
        transcript.push_str("THE WORKER HAS DIED\n");
        Ok(transcript)
    }

    /// What the witness has found since it was asked the last time.
    fn found(&self) -> String {
        let Some(report) = &self.witness else { return String::new() };
        let text = report.take();
        let whats = text.lines().filter_map(|line| Some(line.split_once(": ")?.1));
        whats
            .filter(|what| what.starts_with("VIOLATION "))
            .map(|what| format!("{what}\n"))
            .collect()
    }

    /// Whether it has the library that it should have.
    pub fn expect_library(&mut self) -> Outcome<()> {
        self.run(&Program::default())?;
        let Some((child, ..)) = &self.running else { return fail("no worker") };
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id()))?;
        let file = self.stage.path().join("libaio.so.1").canonicalize()?;
        match maps.lines().any(|line| line.split_whitespace().last().map(Path::new) == Some(&file))
        {
            true => Ok(()),
            false => fail(format!("the worker has not loaded {}", shown(&file))),
        }
    }

    fn stop(&mut self) {
        if let Some((mut child, input, _)) = self.running.take() {
            drop(input);
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}
