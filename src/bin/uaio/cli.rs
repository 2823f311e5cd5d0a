//! The command line: what the user asked for, or what is wrong with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lexopt::prelude::{Long, Short, Value};

use crate::bench;
use crate::failure::Failure;
use crate::help;

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Print a text.
    Print(String),
    /// Run the demonstration.
    Demo {
        /// The library to use instead of our own.
        library: Option<PathBuf>,
    },
    /// Run a program on the library.
    Run {
        /// The library to use instead of our own.
        library: Option<PathBuf>,
        /// The program, as typed.
        program: OsString,
        /// Its arguments.
        args: Vec<OsString>,
    },
    /// Compare the library with kernel AIO.
    Bench(bench::options::Options),
    /// Make one measurement; for `bench` only.
    BenchWorker {
        /// What to measure.
        job: String,
    },
    /// Install the library.
    Install(Install),
}

/// Where to install. All paths but `destdir` are those the programs will see.
#[derive(Debug, PartialEq)]
pub struct Install {
    /// Put before every path when writing, for packagers.
    pub destdir: Option<PathBuf>,
    /// Root of the installation, absolute.
    pub prefix: PathBuf,
    /// Libraries, absolute.
    pub libdir: PathBuf,
    /// Headers, absolute.
    pub includedir: PathBuf,
    /// The library to install instead of our own.
    pub library: Option<PathBuf>,
}

/// Reads the command line, whose first word is our own name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    let mut parser = lexopt::Parser::from_iter(args);
    match next(&mut parser, "")? {
        None => Err(usage("", "no command given")),
        Some(Short('h') | Long("help")) => Ok(Command::Print(help::GENERAL.to_string())),
        Some(Short('V') | Long("version")) => {
            Ok(Command::Print(format!("uaio {}\n", env!("CARGO_PKG_VERSION"))))
        }
        Some(Value(command)) => match command.to_str() {
            Some("run") => parse_run(&mut parser),
            Some("bench") => bench::options::parse(&mut parser),
            Some(bench::WORKER) => parse_worker(&mut parser),
            Some("install") => parse_install(&mut parser),
            Some("help") => parse_help(&mut parser),
            _ => Err(usage("", format!("unknown command '{}'", command.display()))),
        },
        Some(other) => Err(unexpected("", other)),
    }
}

fn parse_run(parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    let mut library = None;
    loop {
        let separated =
            parser.try_raw_args().is_some_and(|raw| raw.peek().is_some_and(|arg| arg == "--"));
        match next(parser, "run")? {
            None if separated => return Err(usage("run", "no program after '--'")),
            None => return Ok(Command::Demo { library }),
            Some(Short('h') | Long("help")) => return Ok(Command::Print(help::RUN.to_string())),
            Some(Long("library")) => library = Some(path(parser, "run")?),
            // Whatever follows belongs to the program, options included.
            Some(Value(program)) => {
                let args = parser.raw_args().map_err(|error| usage("run", error))?.collect();
                return Ok(Command::Run { library, program, args });
            }
            Some(other) => return Err(unexpected("run", other)),
        }
    }
}

/// Not a command for users, and in no help.
fn parse_worker(parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    let job = parser.value().map_err(|error| usage("", error))?;
    match job.into_string() {
        Ok(job) => Ok(Command::BenchWorker { job }),
        Err(_) => Err(usage("", "a job is no text")),
    }
}

fn parse_install(parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    let (mut prefix, mut destdir, mut library) = (None, None, None);
    let (mut libdir, mut includedir) = (PathBuf::from("lib"), PathBuf::from("include"));
    while let Some(arg) = next(parser, "install")? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Print(help::INSTALL.to_string())),
            Long("prefix") => prefix = Some(path(parser, "install")?),
            Long("destdir") => destdir = Some(path(parser, "install")?),
            Long("libdir") => libdir = path(parser, "install")?,
            Long("includedir") => includedir = path(parser, "install")?,
            Long("library") => library = Some(path(parser, "install")?),
            other => return Err(unexpected("install", other)),
        }
    }
    let Some(prefix) = prefix else {
        return Err(usage("install", "option '--prefix' is missing"));
    };
    if !prefix.is_absolute() {
        return Err(usage("install", format!("prefix '{}' is not absolute", prefix.display())));
    }
    let (libdir, includedir) = (prefix.join(libdir), prefix.join(includedir));
    for path in [&prefix, &libdir, &includedir] {
        check_installable(path)?;
    }
    Ok(Command::Install(Install { destdir, prefix, libdir, includedir, library }))
}

/// `join(destdir, path)` must stay below destdir, and libaio.pc is lines of plain words.
fn check_installable(path: &Path) -> Result<(), Failure> {
    let text = path.to_str().unwrap_or("\n");
    let problem = if path.components().any(|part| part == std::path::Component::ParentDir) {
        "contains '..'"
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control() || "\"'\\$#".contains(c)) {
        "contains a character that pkg-config does not take in a path"
    } else {
        return Ok(());
    };
    Err(usage("install", format!("path '{}' {problem}", path.display())))
}

fn parse_help(parser: &mut lexopt::Parser) -> Result<Command, Failure> {
    let text = match next(parser, "")? {
        None => help::GENERAL,
        Some(Value(topic)) => match topic.to_str() {
            Some("run") => help::RUN,
            Some("bench") => help::BENCH,
            Some("install") => help::INSTALL,
            _ => return Err(usage("", format!("no help on '{}'", topic.display()))),
        },
        Some(other) => return Err(unexpected("", other)),
    };
    match next(parser, "")? {
        None => Ok(Command::Print(text.to_string())),
        Some(other) => Err(unexpected("", other)),
    }
}

/// The next argument after `command`.
pub fn next<'a>(
    parser: &'a mut lexopt::Parser,
    command: &str,
) -> Result<Option<lexopt::Arg<'a>>, Failure> {
    parser.next().map_err(|error| usage(command, error))
}

/// The value of an option that is a path.
pub fn path(parser: &mut lexopt::Parser, command: &str) -> Result<PathBuf, Failure> {
    let value = parser.value().map_err(|error| usage(command, error))?;
    if value.is_empty() {
        return Err(usage(command, "a path is empty"));
    }
    Ok(PathBuf::from(value))
}

/// An option that `command` does not have.
pub fn unexpected(command: &str, arg: lexopt::Arg) -> Failure {
    usage(command, arg.unexpected())
}

/// An error with a pointer to the help that explains what is right.
pub fn usage(command: &str, message: impl std::fmt::Display) -> Failure {
    let help =
        if command.is_empty() { "uaio --help".into() } else { format!("uaio help {command}") };
    Failure::Usage(format!("{message} (see '{help}')"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        let args = std::iter::once("uaio").chain(line.split(' ').filter(|word| !word.is_empty()));
        parse(args.map(OsString::from)).map_err(|failure| match failure {
            Failure::Usage(message) => message,
            other => panic!("not a usage error: {other:?}"),
        })
    }

    fn program(line: &str) -> (Option<PathBuf>, OsString, Vec<OsString>) {
        match parsed(line) {
            Ok(Command::Run { library, program, args }) => (library, program, args),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn arguments_after_the_program_are_the_programs() {
        let expected = ["--library", "-x", "--", "--help"].map(OsString::from).to_vec();
        for line in ["run fio --library -x -- --help", "run -- fio --library -x -- --help"] {
            assert_eq!(program(line), (None, "fio".into(), expected.clone()));
        }
        assert_eq!(program("run --library=/l -- fio"), (Some("/l".into()), "fio".into(), vec![]));
        assert_eq!(program("run -- --help").1, "--help");
    }

    #[test]
    fn run_without_a_program_is_the_demonstration() {
        assert_eq!(parsed("run"), Ok(Command::Demo { library: None }));
        assert_eq!(parsed("run --library x"), Ok(Command::Demo { library: Some("x".into()) }));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("", "no command"),
            ("frobnicate", "'frobnicate'"),
            ("--frobnicate", "'--frobnicate'"),
            ("run --frobnicate", "'--frobnicate'"),
            ("run --library", "'--library'"),
            ("run --library=", "empty"),
            ("run --", "'--'"),
            ("run -x", "'-x'"),
            ("install", "'--prefix'"),
            ("install --prefix", "'--prefix'"),
            ("install --prefix usr", "'usr' is not absolute"),
            ("install --prefix /usr extra", "extra"),
            ("install --prefix /usr/../etc", "'..'"),
            ("install --prefix /usr --libdir ../lib", "'..'"),
            ("install --prefix /a$b", "pkg-config"),
            ("help frobnicate", "'frobnicate'"),
            ("help run install", "install"),
        ] {
            match parsed(line) {
                Err(message) => assert!(message.contains(word), "{line}: {message}"),
                Ok(command) => panic!("{line}: {command:?}"),
            }
        }
    }

    #[test]
    fn directories_are_relative_to_the_prefix() {
        let line = "install --prefix /usr --libdir lib/x --includedir /inc --destdir d";
        let Ok(Command::Install(install)) = parsed(line) else { panic!("{line}") };
        assert_eq!(install.libdir, Path::new("/usr/lib/x"));
        assert_eq!(install.includedir, Path::new("/inc"));
        assert_eq!(install.destdir.as_deref(), Some(Path::new("d")));
    }
}
