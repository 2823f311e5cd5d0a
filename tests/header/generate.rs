//! Writes `include/libaio.h` from `src/abi/entry.rs` and the fragments beside it.

use std::fs;
use std::path::Path;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};

/// Returns the text of the header.
pub fn header(root: &Path, scratch: &Path) -> Result<String, String> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let fragment =
        |name: &str| read(&format!("include/{name}.h.in")).map(|s| s.trim_end().to_owned());

    let source = scratch.join("entry.rs");
    fs::write(&source, for_c(&read("src/abi/entry.rs")?))
        .map_err(|error| format!("{}: {error}", source.display()))?;

    let mut config = Config {
        language: Language::C,
        style: Style::Tag,
        cpp_compat: true,
        documentation_style: DocumentationStyle::Doxy,
        tab_width: 8,
        // The guard opens in `head` and closes in `prep`: cbindgen prints the trailer after the end
        // of a guard of its own, and a second inclusion would define the helpers again.
        header: Some(fragment("head")?),
        trailer: Some(fragment("prep")?),
        no_includes: true,
        // <sys/select.h> for sigset_t and struct timespec, which <signal.h> and <time.h> hide from
        // strict ISO C.
        sys_includes: ["sys/types.h", "sys/select.h", "signal.h", "string.h"]
            .map(String::from)
            .to_vec(),
        after_includes: Some(format!("\n{}", fragment("iocb")?)),
        ..Config::default()
    };
    config.export.include = ["io_iocb_cmd_t", "io_callback_t"].map(String::from).to_vec();
    config.export.exclude = ["iocb", "io_event"].map(String::from).to_vec();
    for name in ["iocb", "io_event", "timespec"] {
        config.export.rename.insert(name.to_owned(), format!("struct {name}"));
    }

    let mut text = Vec::new();
    Builder::new()
        .with_config(config)
        .with_src(&source)
        .generate()
        .map_err(|error| format!("cbindgen: {error}"))?
        .write(&mut text);
    let text = String::from_utf8(text).map_err(|error| format!("cbindgen: {error}"))?;
    Ok(as_by_hand(&text))
}

/// The entry points as cbindgen sees them and as a C programmer reads them.
fn for_c(source: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut in_safety = false;
    for line in source.lines() {
        let Some(doc) = line.trim_start().strip_prefix("///") else {
            in_safety = false;
            lines.push(line.to_owned());
            continue;
        };
        // What `# Safety` demands of Rust callers goes without saying in C.
        if doc.trim() == "# Safety" {
            in_safety = true;
            lines.pop_if(|blank| blank.trim() == "///");
        }
        if !in_safety {
            lines.push(line.replace('`', ""));
        }
    }
    lines
        .join("\n")
        // cbindgen wants the attribute; in the library symver.rs gives the names, with versions.
        .replace("pub unsafe extern \"C\" fn", "#[unsafe(no_mangle)] pub unsafe extern \"C\" fn")
        // An empty array is no ISO C: without its layout the structure is only declared.
        .replace("#[repr(C)]\npub struct io_context {", "pub struct io_context {")
}

/// Writes indents and comments as the fragments have them.
fn as_by_hand(text: &str) -> String {
    let mut result = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let spaces = line.len() - line.trim_start_matches(' ').len();
        let indent = "\t".repeat(spaces / 8) + &" ".repeat(spaces % 8);
        let mut code = line.trim_start_matches(' ').to_owned();
        if code == "/**" {
            let text = lines.next().map_or("", str::trim_start);
            match lines.next_if(|end| end.trim() == "*/") {
                Some(_) => code = format!("/{text} */"),
                None => code = format!("/*\n{indent} {text}"),
            }
        }
        if let Some((end, comment)) = code.split_once(" // ") {
            code = format!("{} /* {comment} */", end.trim_end());
        }
        result.push_str(&indent);
        result.push_str(&code);
        result.push('\n');
    }
    result
}
