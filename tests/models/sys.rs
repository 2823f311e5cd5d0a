#[path = "../../src/sys/errno.rs"]
pub mod errno;

/// The word is the model of the futex, and this the queue of who sleeps on any.
pub mod futex {
    use crate::sync::{AtomicU32, Ordering};

    loom::lazy_static! {
        static ref QUEUE: loom::sync::Mutex<()> = loom::sync::Mutex::new(());
        static ref WOKEN: loom::sync::Condvar = loom::sync::Condvar::new();
    }

    pub fn wait(word: &AtomicU32, value: u32) {
        let mut queue = QUEUE.lock().unwrap();
        while word.load(Ordering::Relaxed) == value {
            queue = WOKEN.wait(queue).unwrap();
        }
    }

    pub fn wake(_: &AtomicU32, _: u32) {
        let _queue = QUEUE.lock().unwrap();
        WOKEN.notify_all();
    }
}

/// No model holds files.
pub mod file_info {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Identity(u64);
}

/// No model sleeps on descriptors.
pub mod bell {
    pub fn ring(_: i32) {
        unreachable!()
    }
}
