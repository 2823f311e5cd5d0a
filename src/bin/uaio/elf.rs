//! Just enough ELF to tell whether LD_PRELOAD works for a program and whether a library is ours.
//!
//! Only files for the machine we run on are read further than their first bytes; the library is
//! for 64-bit machines, and so is the layout read here. Offsets come from the file and are not
//! trusted: a read beyond its end is an error, and no table is read that is larger than the file.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const HEADER: usize = 64;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;
const SHT_DYNAMIC: u32 = 6;
const SHT_DYNSYM: u32 = 11;
const DT_NULL: u64 = 0;
const DT_SONAME: u64 = 14;
const SHN_UNDEF: u16 = 0;

/// An open program or shared library for this machine.
pub struct Elf {
    file: File,
    header: Vec<u8>,
}

/// Why a file is not an [`Elf`].
#[derive(Debug)]
pub enum NotUsable {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It has no ELF header.
    NotElf,
    /// It is for machines with another word size, byte order or instruction set.
    OtherMachine,
    /// It is ELF but no program or shared library, e.g. an object file.
    NotLoadable,
}

struct Section {
    kind: u32,
    link: u32,
    offset: u64,
    size: u64,
}

impl Elf {
    /// Opens `path` and reads the ELF header.
    pub fn open(path: &Path) -> Result<Elf, NotUsable> {
        let file = File::open(path).map_err(NotUsable::Unreadable)?;
        let header = read(&file, 0, HEADER as u64).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => NotUsable::NotElf,
            _ => NotUsable::Unreadable(error),
        })?;
        if !header.starts_with(b"\x7fELF") {
            return Err(NotUsable::NotElf);
        }
        let own = File::open("/proc/self/exe")
            .and_then(|own| read(&own, 0, HEADER as u64))
            .map_err(NotUsable::Unreadable)?;
        // Word size, byte order, machine.
        if header[4..6] != own[4..6] || header[18..20] != own[18..20] {
            return Err(NotUsable::OtherMachine);
        }
        match u16_at(&header, 16) {
            ET_EXEC | ET_DYN => Ok(Elf { file, header }),
            _ => Err(NotUsable::NotLoadable),
        }
    }

    /// The dynamic loader that the program asks for; none in a statically linked one.
    pub fn interpreter(&self) -> io::Result<Option<PathBuf>> {
        let (entries, entry_size) = (u16_at(&self.header, 56), u16_at(&self.header, 54));
        if entry_size < 56 {
            return Err(damaged());
        }
        let table = read(&self.file, u64_at(&self.header, 32), size(entries, entry_size))?;
        for entry in table.chunks_exact(entry_size.into()) {
            if u32_at(entry, 0) == PT_INTERP {
                let text = read(&self.file, u64_at(entry, 8), u64_at(entry, 32))?;
                return Ok(Some(PathBuf::from(string_at(&text, 0)?)));
            }
        }
        Ok(None)
    }

    /// The name by which programs ask for this library.
    pub fn soname(&self) -> io::Result<Option<OsString>> {
        let Some((entries, strings)) = self.section_with_strings(SHT_DYNAMIC)? else {
            return Ok(None);
        };
        for entry in entries.chunks_exact(16) {
            match u64_at(entry, 0) {
                DT_NULL => break,
                DT_SONAME => return string_at(&strings, u64_at(entry, 8)).map(Some),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether the library defines the dynamic symbol `name`.
    pub fn exports(&self, name: &str) -> io::Result<bool> {
        let Some((symbols, strings)) = self.section_with_strings(SHT_DYNSYM)? else {
            return Ok(false);
        };
        for symbol in symbols.chunks_exact(24) {
            if u16_at(symbol, 6) != SHN_UNDEF
                && string_at(&strings, u32_at(symbol, 0).into())? == name
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first section of this kind, and the string table it refers to.
    fn section_with_strings(&self, kind: u32) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
        let (entries, entry_size) = (u16_at(&self.header, 60), u16_at(&self.header, 58));
        if entries == 0 {
            return Ok(None);
        }
        if entry_size < 64 {
            return Err(damaged());
        }
        let table = read(&self.file, u64_at(&self.header, 40), size(entries, entry_size))?;
        let sections: Vec<Section> = table
            .chunks_exact(entry_size.into())
            .map(|entry| Section {
                kind: u32_at(entry, 4),
                link: u32_at(entry, 40),
                offset: u64_at(entry, 24),
                size: u64_at(entry, 32),
            })
            .collect();
        let Some(section) = sections.iter().find(|section| section.kind == kind) else {
            return Ok(None);
        };
        let strings = sections.get(section.link as usize).ok_or_else(damaged)?;
        Ok(Some((
            read(&self.file, section.offset, section.size)?,
            read(&self.file, strings.offset, strings.size)?,
        )))
    }
}

fn size(entries: u16, entry_size: u16) -> u64 {
    u64::from(entries) * u64::from(entry_size)
}

fn read(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    if size > file.metadata()?.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| damaged())?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "damaged ELF file")
}

fn string_at(table: &[u8], offset: u64) -> io::Result<OsString> {
    let tail = usize::try_from(offset).ok().and_then(|offset| table.get(offset..));
    let text = tail.and_then(|tail| tail.split(|&byte| byte == 0).next()).ok_or_else(damaged)?;
    Ok(OsString::from_vec(text.to_vec()))
}

// The callers have checked that the field lies within `bytes`.
fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_ne_bytes(array_at(bytes, offset))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes(array_at(bytes, offset))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_ne_bytes(array_at(bytes, offset))
}
