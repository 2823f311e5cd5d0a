//! Sizes and offsets of the C structures, as compilers see them.

use std::collections::BTreeSet;
use std::mem::{offset_of, size_of};
use std::process::Command;

use aio::aio_abi::{self, Event, Iocb};

use crate::compiler::{self, Compiler};
use crate::{Outcome, scratch, sources};

/// A member of a C structure: `iocb.u.c.buf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub path: String,
    pub offset: usize,
    pub size: usize,
}

/// Compiles and runs `kernel.c`, and compares what it prints with the Rust types.
pub fn compiled(compiler: &Compiler) -> Result<(), Outcome> {
    let program = scratch("kernel")?.join("kernel");
    let mut command = compiler.strict();
    command.args(["-x", "c", "-std=c11"]).arg(sources().join("kernel.c")).arg("-o").arg(&program);
    compiler::output(&mut command)?;
    let printed = compiler::output(&mut Command::new(program))?;

    let mut members = Vec::new();
    let mut numbers = Vec::new();
    for line in printed.lines() {
        let number = |word: &str| word.parse::<usize>().map_err(|_| format!("printed: {line}"));
        match line.split(' ').collect::<Vec<_>>()[..] {
            [path, offset, size] => members.push(Member {
                path: path.to_owned(),
                offset: number(offset)?,
                size: number(size)?,
            }),
            [name, value] => numbers.push((name.to_owned(), number(value)?)),
            _ => return Err(Outcome::Failed(format!("printed: {line}"))),
        }
    }
    compare(&members)?;
    let expected = [
        ("iocb", size_of::<Iocb>()),
        ("io_event", size_of::<Event>()),
        ("IO_CMD_PREAD", aio_abi::IOCB_CMD_PREAD.into()),
        ("IO_CMD_PWRITE", aio_abi::IOCB_CMD_PWRITE.into()),
        ("IO_CMD_FSYNC", aio_abi::IOCB_CMD_FSYNC.into()),
        ("IO_CMD_FDSYNC", aio_abi::IOCB_CMD_FDSYNC.into()),
        ("IO_CMD_POLL", aio_abi::IOCB_CMD_POLL.into()),
        ("IO_CMD_PREADV", aio_abi::IOCB_CMD_PREADV.into()),
        ("IO_CMD_PWRITEV", aio_abi::IOCB_CMD_PWRITEV.into()),
    ];
    for (name, value) in expected {
        match numbers.iter().find(|(printed, _)| printed == name) {
            Some((_, printed)) if *printed == value => {}
            other => {
                return Err(Outcome::Failed(format!("{name}: C {other:?}, Rust {value}")));
            }
        }
    }
    Ok(())
}

/// Checks the numbers of `members.h` at compile time, for a target that needs no C library.
pub fn asserted(compiler: &Compiler, options: &[&str], abi: &str) -> Result<(), Outcome> {
    compiler.knows(options)?;
    let mut command = compiler.strict();
    command
        .args(options)
        .args(["-x", "c", "-std=c11", "-fsyntax-only", "-ffreestanding", "-nostdinc", "-isystem"])
        .arg(sources().join("stubs"))
        .arg(format!("-DABI={abi}"))
        .arg(sources().join("layout.c"));
    compiler::output(&mut command)?;
    Ok(())
}

/// Checks `kernel.c` at compile time, with the C library and kernel headers of another machine.
pub fn beside_the_kernel(compiler: &Compiler) -> Result<(), Outcome> {
    let options = ["-include", "linux/aio_abi.h", "-include", "string.h"];
    compiler.knows(&options)?;
    let mut command = compiler.strict();
    command.args(["-x", "c", "-std=c11", "-fsyntax-only"]).arg(sources().join("kernel.c"));
    compiler::output(&mut command)?;
    Ok(())
}

/// Compares the members of the C structures with the Rust types, and sees that none is missing on
/// either side.
pub fn compare(members: &[Member]) -> Result<(), String> {
    let expected = rust_members();
    let paths = |list: &[Member]| list.iter().map(|m| m.path.clone()).collect::<BTreeSet<_>>();
    let missing: Vec<_> = paths(&expected).symmetric_difference(&paths(members)).cloned().collect();
    if !missing.is_empty() {
        return Err(format!("only in C, or only in this test's list: {missing:?}"));
    }
    match members.iter().find(|member| !expected.contains(member)) {
        Some(member) => {
            let rust = expected.iter().find(|rust| rust.path == member.path);
            Err(format!("C: {member:?}\nRust: {rust:?}"))
        }
        None => Ok(()),
    }
}

/// The members of the C structures and the places of the Rust types where they belong.
fn rust_members() -> Vec<Member> {
    fn member(path: &str, offset: usize, size: usize) -> Member {
        Member { path: path.to_owned(), offset, size }
    }
    fn size<T, F>(_: fn(&T) -> &F) -> usize {
        size_of::<F>()
    }
    macro_rules! same {
        ($path:literal, $type:ident.$field:ident) => {
            member($path, offset_of!($type, $field), size(|value: &$type| &value.$field))
        };
    }
    // The low or high half of a 64-bit field of a little-endian machine.
    macro_rules! half {
        ($path:literal, $type:ident.$field:ident + $bytes:literal) => {
            member($path, offset_of!($type, $field) + $bytes, size(|v: &$type| &v.$field) / 2)
        };
    }
    vec![
        same!("iocb.data", Iocb.data),
        same!("iocb.key", Iocb.key),
        same!("iocb.aio_rw_flags", Iocb.rw_flags),
        same!("iocb.aio_lio_opcode", Iocb.lio_opcode),
        same!("iocb.aio_reqprio", Iocb.reqprio),
        same!("iocb.aio_fildes", Iocb.fildes),
        same!("iocb.u.c.buf", Iocb.buf),
        same!("iocb.u.c.nbytes", Iocb.nbytes),
        same!("iocb.u.c.offset", Iocb.offset),
        same!("iocb.u.c.__pad3", Iocb.reserved2),
        same!("iocb.u.c.flags", Iocb.flags),
        same!("iocb.u.c.resfd", Iocb.resfd),
        same!("iocb.u.v.vec", Iocb.buf),
        same!("iocb.u.v.nr", Iocb.nbytes),
        same!("iocb.u.v.offset", Iocb.offset),
        half!("iocb.u.poll.events", Iocb.buf + 0),
        half!("iocb.u.poll.__pad1", Iocb.buf + 4),
        same!("iocb.u.saddr.addr", Iocb.buf),
        same!("iocb.u.saddr.len", Iocb.nbytes),
        same!("io_event.data", Event.data),
        same!("io_event.obj", Event.obj),
        same!("io_event.res", Event.res),
        same!("io_event.res2", Event.res2),
    ]
}
