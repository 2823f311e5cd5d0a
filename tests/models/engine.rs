#[path = "../../src/engine/idle.rs"]
pub mod idle;
