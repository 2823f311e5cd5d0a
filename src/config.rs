//! What the environment says: the variables `UAIO_*`, each read once.

use core::num::NonZeroUsize;

use once_cell::race::{OnceBool, OnceNonZeroUsize};

use crate::sys::host::{self, is_set};

/// What UAIO_ENGINE says of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is the one to be used. What the kernel's AIO cannot do is done by threads then.
    Chosen,
    /// Nothing.
    Possible,
    /// Another one is chosen.
    Excluded,
}

fn choice(kept: &OnceNonZeroUsize, name: &[u8]) -> Choice {
    let choice = kept.get_or_init(|| {
        let is_set = |name| host::is_set(c"UAIO_ENGINE", name);
        let choice = match is_set(name) {
            true => Choice::Chosen,
            false if ENGINES.into_iter().any(is_set) => Choice::Excluded,
            false => Choice::Possible,
        };
        NonZeroUsize::MIN.saturating_add(choice as usize)
    });
    match choice.get() - 1 {
        0 => Choice::Chosen,
        1 => Choice::Possible,
        _ => Choice::Excluded,
    }
}

/// The names of the engines.
const ENGINES: [&[u8]; 3] = [b"kernel", b"uring", b"pool"];

/// Whether the kernel's AIO may be used.
pub fn kernel() -> Choice {
    static KEPT: OnceNonZeroUsize = OnceNonZeroUsize::new();
    choice(&KEPT, b"kernel")
}

/// Whether io_uring may be used.
pub fn uring() -> Choice {
    static KEPT: OnceNonZeroUsize = OnceNonZeroUsize::new();
    choice(&KEPT, b"uring")
}

/// Whether every context shall be served in the background: UAIO_RING=always.
pub fn wants_background() -> bool {
    static WANTED: OnceBool = OnceBool::new();
    WANTED.get_or_init(|| is_set(c"UAIO_RING", b"always"))
}

/// Whether contexts are charged against fs.aio-max-nr: UAIO_MAX_NR=kernel.
pub fn charges_contexts() -> bool {
    static CHARGES: OnceBool = OnceBool::new();
    CHARGES.get_or_init(|| is_set(c"UAIO_MAX_NR", b"kernel"))
}

/// Whether `syscall` passes all to the kernel: UAIO_SYSCALL=off.
pub fn leaves_syscall() -> bool {
    static LEAVES: OnceBool = OnceBool::new();
    LEAVES.get_or_init(|| is_set(c"UAIO_SYSCALL", b"off"))
}
