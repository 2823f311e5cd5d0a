//! Atomics, locks and threads: the only importer of `core::sync`, `std::sync` and `std::thread`.
//!
//! [`Lock`] is a futex lock of one word rather than `std::sync::Mutex`: it can be put back to
//! "unlocked" in a forked child whatever state the parent left it in, it is never poisoned, and it
//! needs no initialisation, so that it can live in memory fresh from `mmap`.
//!
//! *Orderings*: taking a lock is Acquire, leaving it is Release; they pair with each other.

#[cfg(not(loom))]
pub use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
#[cfg(loom)]
pub use loom::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(not(loom))]
pub use lock::{Guard, Lock};

#[cfg(not(loom))]
mod lock {
    use core::cell::UnsafeCell;
    use core::ops::{Deref, DerefMut};
    use core::sync::atomic::{AtomicU32, Ordering};

    use crate::sys::futex;

    const FREE: u32 = 0;
    const HELD: u32 = 1;
    const CONTENDED: u32 = 2;

    /// How often a taker looks again before it sleeps: the sections are some tens of nanoseconds.
    const SPINS: u32 = 100;

    /// A value that one thread at a time may touch. All-zero memory is an unlocked lock.
    #[derive(Debug, Default)]
    pub struct Lock<T> {
        word: AtomicU32,
        value: UnsafeCell<T>,
    }

    // SAFETY: the word admits one thread at a time to the value, which may move between threads.
    unsafe impl<T: Send> Sync for Lock<T> {}

    impl<T> Lock<T> {
        /// An unlocked lock around `value`.
        pub const fn new(value: T) -> Self {
            Lock { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
        }

        /// Waits until the lock is free and takes it.
        #[inline]
        pub fn lock(&self) -> Guard<'_, T> {
            // Acquire: pairs with the Release of the previous holder in `Guard::drop`.
            if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err()
            {
                self.lock_contended();
            }
            Guard { lock: self }
        }

        #[cold]
        fn lock_contended(&self) {
            for _ in 0..SPINS {
                core::hint::spin_loop();
                if self.word.load(Ordering::Relaxed) == FREE
                    // Acquire: pairs with the Release of the previous holder in `Guard::drop`.
                    && self
                        .word
                        .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return;
                }
            }
            // Acquire: pairs with the Release of the previous holder in `Guard::drop`.
            while self.word.swap(CONTENDED, Ordering::Acquire) != FREE {
                futex::wait(&self.word, CONTENDED);
            }
        }

        /// Forgets who holds the lock.
        ///
        /// # Safety
        /// No other thread may be inside the lock: the only caller is a forked child, in which the
        /// holder, if there was one, does not exist.
        pub unsafe fn force_unlock(&self) {
            self.word.store(FREE, Ordering::Relaxed);
        }
    }

    /// The right to touch the value, until dropped.
    #[derive(Debug)]
    pub struct Guard<'a, T> {
        lock: &'a Lock<T>,
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;
        #[inline]
        fn deref(&self) -> &T {
            // SAFETY: the guard exists only while this thread holds the lock.
            unsafe { &*self.lock.value.get() }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: the guard exists only while this thread holds the lock.
            unsafe { &mut *self.lock.value.get() }
        }
    }

    impl<T> Drop for Guard<'_, T> {
        #[inline]
        fn drop(&mut self) {
            // Release: pairs with the Acquire of the next taker in `lock`.
            if self.lock.word.swap(FREE, Ordering::Release) == CONTENDED {
                futex::wake(&self.lock.word, 1);
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn threads_exclude_each_other() {
            let lock = Lock::new(0u64);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..20_000 {
                            *lock.lock() += 1;
                        }
                    });
                }
            });
            assert_eq!(*lock.lock(), 80_000);
        }

        #[test]
        fn force_unlock_frees_a_held_lock() {
            let lock = Lock::new(());
            core::mem::forget(lock.lock());
            // SAFETY: the only holder is the guard forgotten above.
            unsafe { lock.force_unlock() };
            let _free = lock.lock();
        }
    }
}
