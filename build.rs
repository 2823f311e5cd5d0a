//! The link recipe of the shared library: soname, symbol versions, `syscall`, no unloading.
//!
//! rustc passes a version script of its own to the linker; of the usual linkers only lld merges
//! two, so the library is linked with the copy of lld that comes with rustc.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where rustc keeps its copy of lld under the name that compilers look for; it tells them itself
/// only on some targets, and from Rust 1.90 on.
fn directory_of_lld() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC")?;
    let printed = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?.stdout;
    let sysroot = PathBuf::from(String::from_utf8(printed).ok()?.trim());
    let directory = sysroot.join("lib/rustlib").join(env::var("HOST").ok()?).join("bin/gcc-ld");
    directory.join("ld.lld").exists().then_some(directory)
}

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let map = |name: &str| Path::new(&root).join("src/abi").join(name).display().to_string();
    let soname = match env::var_os("CARGO_FEATURE_SONAME_T64") {
        Some(_) => "libaio.so.1t64",
        None => "libaio.so.1",
    };
    for arg in [
        format!("-Wl,-soname,{soname}"),
        format!("-Wl,--version-script={}", map("libaio.map")),
        format!("-Wl,--version-script={}", map("syscall.map")),
        // Only here, not in an object: libaio.a and the rlib must not define `syscall`.
        "-Wl,--defsym=syscall=uaio_syscall".to_string(),
        // A worker may still run when the program calls dlclose.
        "-Wl,-z,nodelete".to_string(),
        "-fuse-ld=lld".to_string(),
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
    if let Some(directory) = directory_of_lld() {
        println!("cargo:rustc-cdylib-link-arg=-B{}", directory.display());
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/abi/libaio.map");
    println!("cargo:rerun-if-changed=src/abi/syscall.map");
}
