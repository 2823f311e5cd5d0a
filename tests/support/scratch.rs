//! Directories for what tests write.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that stays, for what a harness builds once in each run.
pub fn lasting(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A directory of its own, removed on drop.
#[derive(Debug)]
pub struct Scratch {
    directory: PathBuf,
    /// A link to it, where the way to it has characters that LD_PRELOAD and pkg-config do not take.
    link: Option<PathBuf>,
}

impl Scratch {
    /// A directory below Cargo's place for such things: on a disk, where O_DIRECT works, which
    /// cannot be said of /tmp.
    pub fn new(label: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{label}-{}-{number}", process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        // A run that was killed may have left one, and process ids come again, in containers soon.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.+".contains(byte);
        if env!("CARGO_TARGET_TMPDIR").as_bytes().iter().all(is_plain) {
            return Scratch { directory, link: None };
        }
        let link = env::temp_dir().join(format!("uaio-test-{name}"));
        let _ = fs::remove_file(&link);
        symlink(&directory, &link).unwrap();
        Scratch { directory, link: Some(link) }
    }

    /// Where it is. Only a separator in the label can be in it.
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.directory)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What a test leaves behind is no reason to fail it.
        let _ = fs::remove_dir_all(&self.directory);
        let _ = self.link.as_ref().map(fs::remove_file);
    }
}
