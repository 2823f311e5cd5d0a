//! What belongs to the process and its threads: forks, calls under calls, threads of the library.

pub mod background;
pub mod crew;
pub mod fork_gate;
pub mod fork_generation;
pub mod reentrancy;
pub mod rundown;
