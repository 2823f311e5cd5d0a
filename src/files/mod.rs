//! What holds files and eventfds of the program's while requests need them.

pub mod holds;
pub mod pins;
pub mod resfd;
