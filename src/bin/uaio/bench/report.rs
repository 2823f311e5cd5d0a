//! What is printed and written at the end.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::options::Options;
use super::results::{Measured, NOISE_LIMIT, Results, Status};
use super::subjects::Engine;
use super::{plot, table, tally};
use crate::failure::Failure;

/// Fewer rounds than these are not worth a ratio.
const ENOUGH_PAIRS: usize = 7;

/// The files that were asked for, opened before anything is measured.
pub struct Files {
    json: Option<Output>,
    svg: Option<Output>,
}

/// A file that goes away again if nothing is written to it.
struct Output {
    path: PathBuf,
    file: File,
    is_fresh: bool,
}

impl Files {
    /// Opens what the options name.
    pub fn open(options: &Options) -> Result<Files, Failure> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        Ok(Files { json: open(&options.json)?, svg: open(&options.svg)? })
    }

    /// Fills them.
    pub fn write(self, results: &Results) -> Result<(), Failure> {
        if let Some(json) = self.json {
            let text = serde_json::to_string_pretty(results)
                .map_err(|error| Failure::Job(format!("JSON: {error}")))?;
            json.write(&(text + "\n"))?;
        }
        if let Some(svg) = self.svg {
            let text = plot::draw(results)
                .map_err(|error| Failure::Job(format!("cannot draw: {error}")))?;
            svg.write(&text)?;
        }
        Ok(())
    }
}

impl Output {
    fn open(path: &Path) -> Result<Output, Failure> {
        let is_fresh = !path.exists();
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| {
            let reason = crate::failure::reason(&error);
            Failure::Usage(format!("cannot write '{}': {reason}", path.display()))
        })?;
        Ok(Output { path: path.to_path_buf(), file, is_fresh })
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        // What is no regular file cannot be made shorter, and need not be.
        let is_regular = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_regular { self.file.set_len(0) } else { Ok(()) };
        let written = emptied.and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| Failure::io(format_args!("'{}'", self.path.display()), &error))?;
        self.is_fresh = false;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.is_fresh {
            // Then an empty file stays.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The tables, what must be known of them, and the closing line.
pub fn text(results: &Results, markdown: bool) -> String {
    let machine = &results.machine;
    let base = &results.base;
    let mut text = format!(
        "uaio {} on Linux {}, {} CPUs, {}, file system {}\n",
        results.uaio, machine.kernel, machine.cpus, machine.arch, results.settings.file_system
    );
    if let Some(ratios) = table::ratios(results, markdown) {
        text += &format!(
            "Rows of {base} are absolute, with the width of the middle half of the rounds; all others are\n\
             their side / {base}: the median of the ratios of {} rounds, with the middle half. Of op/s\n\
             more is better, of CPU, p50 and p99 (submit to reap) less. CPU is the process's, with all its\n\
             threads; what the kernel's own threads do is in no row.\n\n",
            results.settings.pairs
        );
        text += &ratios;
    }
    if let Some(polls) = table::polls(results, markdown) {
        text +=
            "\nCPU time of a poll beyond the write and the read that make it ready and end it:\n\n";
        text += &polls;
    }
    if let Some(submits) = table::submits(results, markdown) {
        text += "\nDuration of the io_submit call (medians over the rounds):\n\n";
        text += &submits;
    }
    if let Some(interruptions) = table::interruptions(results, markdown) {
        text += "\nBlocking calls of a thread with direct reads in flight that came back with less than they\n\
                 were asked for, or with EINTR, though no signal had come (all rounds together):\n\n";
        text += &interruptions;
    }
    let notes = notes(results);
    if !notes.is_empty() {
        text += "\n";
        notes.iter().for_each(|note| text += &format!("{note}\n"));
    }
    text + &format!("\n{}\n", tally::line(&results.tallies))
}

/// What the reader must know to believe the tables.
fn notes(results: &Results) -> Vec<String> {
    let mut notes = results.settings.left_out.clone();
    notes.extend(table::absent(&results.workloads));
    if let Some(problem) = &results.no_native {
        notes.push(format!("no comparison with kernel AIO: {problem}"));
    }
    if cfg!(debug_assertions) {
        notes.push("this is a debug build: its figures mean little".to_string());
    }
    if results.settings.pairs < ENOUGH_PAIRS {
        notes.push(format!("fewer than {ENOUGH_PAIRS} rounds: the ratios are not worth much"));
    }
    let (load, cpus) = (results.machine.load[0], results.machine.cpus);
    if load > cpus as f64 {
        notes.push(format!("the load average was {load} at the beginning, for {cpus} CPUs"));
    }
    notes.extend(without_uring(results));
    notes.extend(noise(results));
    notes
}

/// Whether the engine on io_uring has used none for direct I/O.
fn without_uring(results: &Results) -> Option<String> {
    let name = Engine::Uring.name();
    let asynchronous = results.workloads.iter().filter(|it| it.workload.is_asynchronous());
    let mut rounds = asynchronous.flat_map(|it| &it.rounds);
    rounds
        .any(|round| round.samples.get(name).is_some_and(|sample| !sample.uring))
        .then(|| format!("no io_uring was seen in direct I/O of: {name}"))
}

/// Whether the machine was quiet enough.
fn noise(results: &Results) -> Option<String> {
    let measured = results.workloads.iter().filter(|it| it.base.is_some());
    let noisy: Vec<&str> =
        measured.clone().filter(|it| it.noisy).map(|it| it.name.as_str()).collect();
    if noisy.is_empty() {
        return None;
    }
    let (count, of) = (noisy.len(), measured.count());
    let verdict = if 2 * count > of { "the machine was too noisy" } else { "too noisy" };
    Some(format!(
        "{verdict} for {count} of {of} workloads (~), whose own throughput on {} varied by more than \
         {:.0} %: {}",
        results.base,
        NOISE_LIMIT * 100.0,
        noisy.join(", ")
    ))
}

/// An error if a measurement failed.
pub fn failure(workloads: &[Measured]) -> Result<(), Failure> {
    let is_failed = |it: &&Measured| matches!(it.status, Status::Failed(_));
    let names: Vec<&str> = workloads.iter().filter(is_failed).map(|it| it.name.as_str()).collect();
    match names.as_slice() {
        [] => Ok(()),
        names => Err(Failure::Job(format!("measurements failed: {}", names.join(", ")))),
    }
}
