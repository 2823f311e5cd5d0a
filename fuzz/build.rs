//! Tells the modules that the target shares with the tests where they are: Cargo does so for tests.

use std::env;
use std::fs;
use std::path::Path;

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let scratch = Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("tmp");
    if let Err(error) = fs::create_dir_all(&scratch) {
        println!("cargo::error={}: {error}", scratch.display());
    }
    println!("cargo:rustc-env=CARGO_TARGET_TMPDIR={}", scratch.display());
    println!("cargo:rustc-env=CARGO_MANIFEST_DIR={here}/..");
    println!("cargo:rerun-if-changed=build.rs");
}
