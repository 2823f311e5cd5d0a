//! Memory of our own, and what is known of the program's.

pub mod arena;
pub mod chunked;
pub mod known;
pub mod late;
pub mod radix;
pub mod user;
