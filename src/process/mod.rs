//! What belongs to the process and its threads: forks, calls under calls, who harvests in the background.

pub mod background;
pub mod crew;
pub mod fork_gate;
pub mod fork_generation;
pub mod reentrancy;
pub mod rundown;
