//! Where a run works: in a directory, or on file systems of its own.

use std::path::Path;

use super::plan::Workload;
use super::volume::{self, Volume};
use super::workspace::Workspace;
use crate::failure::{Failure, reason};
use crate::signals::Signals;

/// One of them.
pub struct Place {
    /// The name of a file system of our own.
    name: Option<&'static str>,
    /// What the measurements work in. It goes before the volume that it is on.
    pub workspace: Workspace,
    _volume: Option<Volume>,
}

/// All of them.
pub struct Places {
    /// At least one.
    pub all: Vec<Place>,
    /// The file systems that cannot be made here, with the reason.
    pub left_out: Vec<String>,
}

impl Places {
    /// The place that was named, with room for `bytes` of data.
    pub fn single(place: &Path, bytes: u64) -> Result<Places, Failure> {
        let workspace = Workspace::create(place, bytes)?;
        let all = vec![Place { name: None, workspace, _volume: None }];
        Ok(Places { all, left_out: Vec::new() })
    }

    /// File systems whose images are in the directory `parent`.
    pub fn volumes(parent: &Path, bytes: u64, signals: &Signals) -> Result<Places, Failure> {
        let unusable = |problem: &str| {
            Failure::Usage(format!("cannot work in '{}': {problem}", parent.display()))
        };
        let metadata = parent.metadata().map_err(|error| unusable(&reason(&error)))?;
        if !metadata.is_dir() {
            return Err(unusable("'--file-systems' wants a directory"));
        }
        let separate = volume::separate_mounts();
        let mut places = Places { all: Vec::new(), left_out: Vec::new() };
        for name in volume::NAMES {
            let volume = match &separate {
                Ok(()) => Volume::create(name, parent, bytes, signals),
                Err(error) => Err(Failure::io("mount name space", error)),
            };
            let workspace =
                volume.and_then(|volume| Ok((Workspace::create(volume.path(), bytes)?, volume)));
            match workspace {
                Ok((workspace, volume)) => {
                    places.all.push(Place { name: Some(name), workspace, _volume: Some(volume) });
                }
                Err(Failure::Job(reason)) => {
                    places.left_out.push(format!("{name} is left out: {reason}"));
                }
                Err(other) => return Err(other),
            }
        }
        match places.all.is_empty() {
            true => Err(Failure::Job(places.left_out.join("; "))),
            false => Ok(places),
        }
    }
}

impl Place {
    /// The workloads as they are called here.
    pub fn named(&self, plan: &[Workload]) -> Vec<Workload> {
        let name = |workload: &Workload| match self.name {
            Some(name) => {
                Workload { name: format!("{name}/{}", workload.name), ..workload.clone() }
            }
            None => workload.clone(),
        };
        plan.iter().map(name).collect()
    }
}
