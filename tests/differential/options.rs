//! The command line: that of libtest, as far as cargo and people use it, and our own.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::setting::Setting;
use crate::support::{Outcome, fail};

#[derive(Clone, Debug)]
pub struct Options {
    pub programs: u64,
    pub seed: u64,
    pub seconds: Option<Duration>,
    pub settings: Vec<Setting>,
    /// Prints program number `only` of the seed as C and ends.
    pub only: Option<u64>,
    /// Side by side.
    pub jobs: usize,
}

pub const HELP: &str = "\
Random programs on the system's libaio and on ours.

    cargo test --release --test differential -- [OPTION...]

    --programs N   how many; 300 if neither this nor --seconds is given
    --seconds T    for how long
    --seed S       a number, 1 if none is given, or \"random\": it is printed
    --setting X    default, pool, always, or all (which is the default); several with commas
    --print N      prints program N of the seed as C
    --jobs N       how many side by side
";

impl Options {
    /// `None`: there is nothing to run.
    pub fn parse() -> Outcome<Option<Options>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mut options = Options {
            programs: 300,
            seed: 1,
            seconds: None,
            settings: Vec::new(),
            only: None,
            jobs: 24,
        };
        let mut has_programs = false;
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name.to_string(), Some(value.to_string())),
                None => (argument.clone(), None),
            };
            let mut value = || match attached.clone().or_else(|| arguments.next()) {
                Some(value) => Ok(value),
                None => Err(format!("{name} needs a value")),
            };
            match name.as_str() {
                "--programs" => (options.programs, has_programs) = (value()?.parse()?, true),
                "--seconds" => options.seconds = Some(Duration::from_secs(value()?.parse()?)),
                "--seed" => {
                    let named = value()?;
                    options.seed = match named.as_str() {
                        "random" => now.as_nanos() as u64 % 1_000_000_000,
                        number => number.parse()?,
                    };
                }
                "--print" => options.only = Some(value()?.parse()?),
                "--jobs" => options.jobs = value()?.parse::<usize>()?.max(1),
                "--setting" => {
                    let named = value()?;
                    for name in named.split(',') {
                        let before = options.settings.len();
                        let known = Setting::ALL.iter();
                        options
                            .settings
                            .extend(known.filter(|x| name == "all" || x.name() == name));
                        if options.settings.len() == before {
                            return fail(format!("no setting {name}"));
                        }
                    }
                }
                "--help" | "-h" => {
                    print!("{HELP}");
                    return Ok(None);
                }
                "--list" => return Ok(None),
                // Of libtest: they change how results are shown.
                "--nocapture" | "--no-capture" | "-q" | "--quiet" | "--include-ignored" => {}
                "--exact" => {}
                "--test-threads" | "--color" | "--format" | "--skip" => drop(value()?),
                // The tests that somebody wants, if this is one of them.
                filter if !filter.starts_with('-') => {
                    if !"differential".contains(filter) {
                        return Ok(None);
                    }
                }
                other => return fail(format!("no option {other}\n\n{HELP}")),
            }
        }
        if options.settings.is_empty() {
            options.settings = Setting::ALL.to_vec();
        }
        if options.seconds.is_some() && !has_programs {
            options.programs = u64::MAX;
        }
        Ok(Some(options))
    }
}
