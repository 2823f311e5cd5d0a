//! The library is loaded. Nothing is made: it is only noted which thread the first one is.

use crate::memory::known;

extern "C" fn at_load() {
    known::loaded();
}

/// The dynamic linker calls what is in this section; before `main`, unless dlopen(3) loads the library.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;
