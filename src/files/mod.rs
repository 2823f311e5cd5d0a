//! What holds files and eventfds of the program's while requests need them, and what is believed of
//! them.

pub mod beliefs;
pub mod holds;
pub mod pins;
pub mod resfd;
