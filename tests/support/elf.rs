//! What a shared library says of itself in its dynamic section.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use object::Endianness;
use object::elf::{
    self, DT_FLAGS_1, DT_INIT_ARRAY, DT_INIT_ARRAYSZ, DT_NEEDED, DT_SONAME, STT_FUNC, STT_OBJECT,
    STV_DEFAULT, VER_FLG_BASE,
};
use object::read::elf::{Dyn, ElfFile64, Rela, SectionHeader, Sym};

use super::{Outcome, fail};

type Header = elf::FileHeader64<Endianness>;

/// The dynamic section, symbols and versions of a shared library.
#[derive(Debug)]
pub struct SharedLibrary {
    /// DT_SONAME.
    pub soname: Option<String>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// DT_FLAGS_1.
    pub flags_1: u64,
    /// What it defines for others: `name@@VERSION` is a default version, `name@VERSION` one that
    /// only old programs find, and a plain `name` has no version (VER_NDX_GLOBAL).
    pub exports: BTreeSet<String>,
    /// Exports that are neither functions nor version names, or are not simply visible.
    pub odd_exports: Vec<String>,
    /// Names of the versions, each with those it inherits.
    pub versions: Vec<Vec<String>>,
    /// Names, in `.symtab`, of the functions that run when the library is loaded.
    pub constructors: Vec<String>,
}

impl SharedLibrary {
    /// Reads a file.
    pub fn read(path: &Path) -> Outcome<Self> {
        let content = fs::read(path)?;
        parse(&content[..]).or_else(|Error(what)| fail(format!("{}: {what}", path.display())))
    }

    /// The versions without what they inherit.
    pub fn version_names(&self) -> Vec<&str> {
        self.versions.iter().map(|names| names[0].as_str()).collect()
    }
}

struct Error(String);

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Error(error.to_string())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parse(data: &[u8]) -> Result<SharedLibrary, Error> {
    let file = ElfFile64::<Endianness>::parse(data)?;
    let endian = file.endian();
    let sections = file.elf_section_table();
    let mut library = SharedLibrary {
        soname: None,
        needed: Vec::new(),
        flags_1: 0,
        exports: BTreeSet::new(),
        odd_exports: Vec::new(),
        versions: Vec::new(),
        constructors: Vec::new(),
    };

    let Some((entries, strings)) = sections.dynamic(endian, data)? else {
        return Err(Error("no dynamic section".into()));
    };
    let strings = sections.strings(endian, data, strings)?;
    let mut array = 0..0;
    for entry in entries {
        let value: u64 = entry.d_val(endian);
        let string = || strings.get(value as u32).map(text).map_err(|()| Error("string".into()));
        match entry.d_tag(endian) {
            DT_SONAME => library.soname = Some(string()?),
            DT_NEEDED => library.needed.push(string()?),
            DT_FLAGS_1 => library.flags_1 = value,
            DT_INIT_ARRAY => array = value..value + (array.end - array.start),
            DT_INIT_ARRAYSZ => array.end = array.start + value,
            _ => {}
        }
    }

    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    let Some(versions) = sections.versions(endian, data)? else {
        return Err(Error("no symbol versions".into()));
    };
    for (index, symbol) in symbols.enumerate() {
        if symbol.is_undefined(endian) || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        let name = text(symbol.name(endian, symbols.strings())?);
        let version = versions.version_index(endian, index);
        let export = match versions.version(version.index())? {
            None if version.is_local() => continue,
            // Hidden, it would be found by dlsym() and by nobody else.
            None if version.is_hidden() => format!("{name}@"),
            None => name.clone(),
            Some(node) if version.is_hidden() => format!("{name}@{}", text(node.name())),
            Some(node) => format!("{name}@@{}", text(node.name())),
        };
        let is_version = symbol.st_type() == STT_OBJECT && symbol.is_absolute(endian);
        let is_function = symbol.st_type() == STT_FUNC;
        if !(is_function || is_version)
            || symbol.st_bind() != elf::STB_GLOBAL
            || symbol.st_visibility() != STV_DEFAULT
        {
            library.odd_exports.push(export.clone());
        }
        if !library.exports.insert(export.clone()) {
            library.odd_exports.push(format!("{export} twice"));
        }
    }

    if let Some((mut definitions, strings)) = sections.gnu_verdef(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        while let Some((definition, names)) = definitions.next()? {
            if definition.vd_flags.get(endian).contains(VER_FLG_BASE) {
                continue;
            }
            let names: Result<Vec<_>, Error> =
                names.map(|name| Ok(text(name?.name(endian, strings)?))).collect();
            library.versions.push(names?);
        }
    }

    let table = sections.symbols(endian, data, elf::SHT_SYMTAB)?;
    for address in constructor_addresses(&file, data, array)? {
        let named = table
            .iter()
            .find(|symbol| symbol.st_type() == STT_FUNC && symbol.st_value(endian) == address);
        library.constructors.push(match named {
            Some(symbol) => text(symbol.name(endian, table.strings())?),
            None => format!("{address:#x}"),
        });
    }
    Ok(library)
}

/// The functions in the array that the loader calls: the addends of its relocations.
fn constructor_addresses(
    file: &ElfFile64<'_, Endianness>,
    data: &[u8],
    array: std::ops::Range<u64>,
) -> Result<Vec<u64>, Error> {
    let endian = file.endian();
    let mut addresses = Vec::new();
    for section in file.elf_section_table().iter() {
        let Some((relocations, _)) = section.rela(endian, data)? else {
            continue;
        };
        for relocation in relocations {
            let place: u64 = relocation.r_offset(endian);
            if array.contains(&place) {
                let addend: i64 = relocation.r_addend(endian);
                addresses.push(addend as u64);
            }
        }
    }
    Ok(addresses)
}
