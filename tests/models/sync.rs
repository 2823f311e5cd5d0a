pub use loom::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};
