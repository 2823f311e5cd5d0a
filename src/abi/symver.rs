//! Symbol versions: for each exported name a label that jumps to the function.
//!
//! `.symver …, remove` leaves the versioned name only. The labels are the only way to have two
//! versions of one name, and names that no Rust function may have.

use crate::abi::{compat, entry};

#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp {function}"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    () => {
        "b {function}"
    };
}

macro_rules! export {
    ($label:literal, $version:literal, $function:path) => {
        core::arch::global_asm!(
            ".pushsection .text",
            concat!(".globl ", $label),
            concat!(".type ", $label, ",@function"),
            concat!($label, ":"),
            jump!(),
            concat!(".size ", $label, ", . - ", $label),
            concat!(".symver ", $label, ", ", $version, ", remove"),
            ".popsection",
            function = sym $function,
        );
    };
}

export!("uaio_io_queue_init", "io_queue_init@@LIBAIO_0.1", entry::io_queue_init);
export!("uaio_io_queue_run", "io_queue_run@@LIBAIO_0.1", entry::io_queue_run);
export!("uaio_io_queue_release", "io_queue_release@@LIBAIO_0.1", entry::io_queue_release);
export!("uaio_io_submit", "io_submit@@LIBAIO_0.1", entry::io_submit);
export!("uaio_io_setup", "io_setup@@LIBAIO_0.4", entry::io_setup);
export!("uaio_io_destroy", "io_destroy@@LIBAIO_0.4", entry::io_destroy);
export!("uaio_io_cancel", "io_cancel@@LIBAIO_0.4", entry::io_cancel);
export!("uaio_io_getevents", "io_getevents@@LIBAIO_0.4", entry::io_getevents);
export!("uaio_io_queue_wait", "io_queue_wait@@LIBAIO_0.4", entry::io_queue_wait);
export!("uaio_io_pgetevents", "io_pgetevents@@LIBAIO_0.5", entry::io_pgetevents);
export!("uaio_io_cancel_0_1", "io_cancel@LIBAIO_0.1", compat::io_cancel_0_1);
export!("uaio_io_getevents_0_1", "io_getevents@LIBAIO_0.1", compat::io_getevents_0_1);
export!("uaio_io_queue_wait_0_1", "io_queue_wait@LIBAIO_0.1", compat::io_queue_wait_0_1);
