//! The header as bindgen reads it: every field and function, whether our list has it or not.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{c_int, c_long, c_longlong, c_short, c_uint, c_ulong};
use std::mem::size_of;
use std::panic;
use std::path::Path;

use crate::layout::{self, Member};
use crate::{Outcome, root, sources};

/// The fields of one generated structure or union: name, type, offset.
type Fields = Vec<(String, String, usize)>;

/// Compares size and offset of every field with the Rust types.
pub fn compare() -> Result<(), Outcome> {
    let text = generate()?;
    let structures = parse(&text)?;
    let mut members = Vec::new();
    for name in ["iocb", "io_event"] {
        flatten(&structures, name, name, 0, &mut members)?;
    }
    Ok(layout::compare(&members)?)
}

fn generate() -> Result<String, Outcome> {
    load_libclang()?;
    let header = root().join("include/libaio.h");
    text(builder(&header).allowlist_type("iocb|io_event").layout_tests(true))
}

/// Every declaration of `header` itself for `target`, one a string, without comments: structures with
/// their members, offsets and sizes, enumerators, types, constants, functions, inline ones as well.
pub fn declarations(header: &Path, target: &str) -> Result<BTreeSet<String>, Outcome> {
    load_libclang()?;
    let text = text(
        builder(header)
            .clang_args([format!("--target={target}")])
            .allowlist_file(r".*/libaio\.h")
            .generate_comments(false)
            .generate_inline_functions(true)
            .disable_header_comment()
            .layout_tests(true),
    )?;
    let mut declarations = BTreeSet::new();
    let mut declaration = String::new();
    for line in text.lines() {
        declaration.push_str(line);
        declaration.push('\n');
        // prettyplease indents what is inside.
        if !line.starts_with([' ', '#']) && line.ends_with(['}', ';']) {
            declarations.insert(std::mem::take(&mut declaration));
        }
    }
    Ok(declarations)
}

fn builder(header: &Path) -> bindgen::Builder {
    bindgen::builder()
        .header(header.display().to_string())
        // Only libclang is needed: no headers of clang's or of the C library.
        .clang_args(["-nostdinc", "-isystem", &sources().join("stubs").display().to_string()])
        .formatter(bindgen::Formatter::Prettyplease)
}

fn text(builder: bindgen::Builder) -> Result<String, Outcome> {
    builder
        .generate()
        .map(|bindings| bindings.to_string())
        .map_err(|error| Outcome::Failed(format!("bindgen: {error}")))
}

/// bindgen loads libclang at its first need, and panics where there is none.
fn load_libclang() -> Result<(), Outcome> {
    // The other tests of this program fail without a panic: no message of theirs goes astray.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let loaded = panic::catch_unwind(bindgen::clang_version);
    panic::set_hook(hook);
    loaded.map(|_| ()).map_err(|_| Outcome::Skipped("libclang cannot be loaded".to_owned()))
}

/// Reads the structures, and their offsets out of the assertions that bindgen adds:
/// `["Offset of field: iocb::key"][::std::mem::offset_of!(iocb, key) - 8usize];`
fn parse(text: &str) -> Result<BTreeMap<String, Fields>, String> {
    let offset_of = |path: &str| {
        let (_, assertion) = text.split_once(&format!("\"Offset of field: {path}\""))?;
        let (_, number) = assertion.split_once(" - ")?;
        number.split_once("usize")?.0.parse().ok()
    };
    let mut structures = BTreeMap::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let header = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub union "));
        let Some(name) = header.and_then(|rest| rest.strip_suffix(" {")) else {
            continue;
        };
        let mut fields = Fields::new();
        for line in lines.by_ref().take_while(|line| *line != "}") {
            let (field, of) = line
                .trim_start_matches("pub ")
                .trim_end_matches(',')
                .split_once(": ")
                .ok_or_else(|| format!("bindgen: {line}"))?;
            if field == "_unused" {
                continue;
            }
            let path = format!("{name}::{field}");
            let offset = offset_of(&path).ok_or_else(|| format!("bindgen: no offset of {path}"))?;
            fields.push((field.to_owned(), of.to_owned(), offset));
        }
        structures.insert(name.to_owned(), fields);
    }
    Ok(structures)
}

/// Lists the members of `name` that are no structures themselves.
fn flatten(
    structures: &BTreeMap<String, Fields>,
    name: &str,
    path: &str,
    base: usize,
    members: &mut Vec<Member>,
) -> Result<(), String> {
    let fields = structures.get(name).ok_or_else(|| format!("bindgen: no type {name}"))?;
    for (field, of, offset) in fields {
        let path = format!("{path}.{field}");
        let offset = base + offset;
        match size_of_primitive(of) {
            Some(size) => members.push(Member { path, offset, size }),
            None => flatten(structures, of, &path, offset, members)?,
        }
    }
    Ok(())
}

fn size_of_primitive(name: &str) -> Option<usize> {
    if name.starts_with('*') {
        return Some(size_of::<*const ()>());
    }
    Some(match name.rsplit("::").next()? {
        "c_short" => size_of::<c_short>(),
        "c_int" => size_of::<c_int>(),
        "c_uint" => size_of::<c_uint>(),
        "c_long" => size_of::<c_long>(),
        "c_ulong" => size_of::<c_ulong>(),
        "c_longlong" => size_of::<c_longlong>(),
        _ => return None,
    })
}
