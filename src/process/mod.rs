//! What belongs to the process and its threads: forks, calls under calls, and rundown.

pub mod fork_gate;
pub mod fork_generation;
pub mod reentrancy;
pub mod rundown;
