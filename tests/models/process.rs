#[path = "../../src/process/crew.rs"]
pub mod crew;
#[path = "../../src/process/rundown.rs"]
pub mod rundown;

pub mod reentrancy {
    /// `crate::process::reentrancy::Owner`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Owner {
        pub task: u32,
        pub frame: usize,
    }
}
