#[path = "../../src/sys/errno.rs"]
pub mod errno;

/// The word is the model of the futex, and this the queue of who sleeps on any.
pub mod futex {
    use crate::sync::{AtomicU32, Ordering};
    use crate::sys::errno::Result;

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

    /// Whoever else is woken sleeps again. No model lets the time pass.
    pub fn wait_bits(word: &AtomicU32, value: u32, _: u32, _: &libc::timespec) -> Result<()> {
        wait(word, value);
        Ok(())
    }

    pub fn wake_bits(word: &AtomicU32, count: u32, _: u32) {
        wake(word, count);
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
