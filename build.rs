//! The link recipe of the shared library: soname, symbol versions, `syscall`, no unloading.
//!
//! rustc passes a version script of its own to the linker; of the usual linkers only lld merges
//! two, so the library is linked with the copy of lld that comes with rustc.

use std::env;
use std::path::Path;

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
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/abi/libaio.map");
    println!("cargo:rerun-if-changed=src/abi/syscall.map");
}
