//! The command line of `uaio bench`.

use std::path::PathBuf;

use lexopt::prelude::{Long, Short};

use super::subjects::Engine;
use crate::cli::{self, Command};
use crate::failure::Failure;
use crate::help;

/// What to measure, where, and what to write.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Ends in a minute.
    pub quick: bool,
    /// Parts of the names of the workloads; none means all.
    pub only: Vec<String>,
    /// Only names the workloads.
    pub list: bool,
    /// Rounds of each workload.
    pub pairs: Option<usize>,
    /// Seconds of each measurement.
    pub seconds: Option<f64>,
    /// The directory or file to work in.
    pub place: Option<PathBuf>,
    /// Works on file systems of its own, with their images in `place`.
    pub file_systems: bool,
    /// The library to measure instead of our own.
    pub library: Option<PathBuf>,
    /// The libaio to compare with instead of the system's.
    pub native: Option<PathBuf>,
    /// Our library's ways to work.
    pub engines: Vec<Engine>,
    /// Where to write everything.
    pub json: Option<PathBuf>,
    /// Where to draw.
    pub svg: Option<PathBuf>,
    /// Tables for a README.
    pub markdown: bool,
}

/// Reads what follows on `uaio bench`.
pub fn parse(parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    const NAME: &str = "bench";
    let mut options = Options::default();
    while let Some(arg) = cli::next(parser, NAME)? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Print(help::BENCH.to_string())),
            Long("quick") => options.quick = true,
            Long("list") => options.list = true,
            Long("markdown") => options.markdown = true,
            Long("only") => options.only.push(text(parser, "--only")?),
            Long("pairs") => {
                let pairs = number(parser, "--pairs", 1.0, 1000.0)?;
                if pairs.fract() != 0.0 {
                    return Err(cli::usage(NAME, "option '--pairs' wants a whole number"));
                }
                options.pairs = Some(pairs as usize);
            }
            Long("seconds") => options.seconds = Some(number(parser, "--seconds", 0.01, 3600.0)?),
            Long("engines") => options.engines = engines(&text(parser, "--engines")?)?,
            Long("file-systems") => options.file_systems = true,
            Long("file") => options.place = Some(cli::path(parser, NAME)?),
            Long("library") => options.library = Some(cli::path(parser, NAME)?),
            Long("native") => options.native = Some(cli::path(parser, NAME)?),
            Long("json") => options.json = Some(cli::path(parser, NAME)?),
            Long("svg") => options.svg = Some(cli::path(parser, NAME)?),
            other => return Err(cli::unexpected(NAME, other)),
        }
    }
    if options.engines.is_empty() {
        options.engines = Engine::USUAL.to_vec();
    }
    Ok(Command::Bench(options))
}

fn text(parser: &mut lexopt::Parser, option: &str) -> Result<String, Failure> {
    let value = parser.value().map_err(|error| cli::usage("bench", error))?;
    match value.into_string() {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(cli::usage("bench", format!("option '{option}' wants a text"))),
    }
}

fn number(
    parser: &mut lexopt::Parser,
    option: &str,
    least: f64,
    most: f64,
) -> Result<f64, Failure> {
    match text(parser, option)?.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(cli::usage(
            "bench",
            format!("option '{option}' wants a number from {least} to {most}"),
        )),
    }
}

fn engines(list: &str) -> Result<Vec<Engine>, Failure> {
    let mut engines = Vec::new();
    for name in list.split(',') {
        match Engine::ALL.into_iter().find(|engine| engine.name() == name) {
            None => {
                let known = Engine::ALL.map(Engine::name).join(", ");
                let message = format!("no engine is called '{name}', there are {known}");
                return Err(cli::usage("bench", message));
            }
            Some(engine) if engines.contains(&engine) => {
                return Err(cli::usage("bench", format!("engine '{name}' is named twice")));
            }
            Some(engine) => engines.push(engine),
        }
    }
    Ok(engines)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        let args = std::iter::once("uaio").chain(line.split_whitespace());
        match cli::parse(args.map(OsString::from)) {
            Ok(Command::Bench(options)) => Ok(options),
            Err(Failure::Usage(message)) => Err(message),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn options_are_read() {
        let engines = Engine::USUAL.to_vec();
        assert_eq!(parsed("bench"), Ok(Options { engines, ..Options::default() }));
        let line = "bench --quick --only a --only=b --pairs 9 --seconds 0.25 --file /tmp \
                    --file-systems --engines pool --json j --svg s --markdown --native n --library l";
        let expected = Options {
            quick: true,
            only: vec!["a".into(), "b".into()],
            list: false,
            pairs: Some(9),
            seconds: Some(0.25),
            place: Some("/tmp".into()),
            file_systems: true,
            library: Some("l".into()),
            native: Some("n".into()),
            engines: vec![Engine::Pool],
            json: Some("j".into()),
            svg: Some("s".into()),
            markdown: true,
        };
        assert_eq!(parsed(line), Ok(expected));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("bench extra", "extra"),
            ("bench --frobnicate", "'--frobnicate'"),
            ("bench --pairs 0", "'--pairs'"),
            ("bench --pairs 2.5", "'--pairs'"),
            ("bench --pairs x", "'--pairs'"),
            ("bench --seconds 0", "'--seconds'"),
            ("bench --seconds NaN", "'--seconds'"),
            ("bench --engines", "'--engines'"),
            ("bench --engines uring,", "''"),
            ("bench --engines uring,driver", "'driver'"),
            ("bench --engines pool,pool", "'pool' is named twice"),
            ("bench --json=", "empty"),
        ] {
            match parsed(line) {
                Err(message) => assert!(message.contains(word), "{line}: {message}"),
                Ok(options) => panic!("{line}: {options:?}"),
            }
        }
    }
}
