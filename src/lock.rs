//! A futex lock of one word.
//!
//! Not `std::sync::Mutex`: it can be put back to "unlocked" in a forked child whatever state the
//! parent left it in, it is never poisoned, and it needs no initialisation, so that it can live in
//! memory fresh from `mmap`.
//!
//! A *context lock* (`Lock<T, true>`) may not be held while a request completes. Debug builds count
//! those that a thread holds, and [`assert_no_context_lock`] looks.
//!
//! *Orderings*: taking a lock is Acquire, leaving it is Release; they pair with each other.

use bytemuck::Zeroable;

use crate::sync::{AtomicU32, Ordering};
use crate::sys::futex;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

/// How often a taker looks again before it sleeps: the sections are some tens of nanoseconds.
const SPINS: u32 = 100;

#[cfg(debug_assertions)]
crate::sync::thread_local! {
    static CONTEXT_LOCKS: core::cell::Cell<i32> = const { core::cell::Cell::new(0) };
}

fn count(is_context: bool, change: i32) {
    #[cfg(debug_assertions)]
    if is_context {
        CONTEXT_LOCKS.with(|held| held.set(held.get() + change));
    }
    #[cfg(not(debug_assertions))]
    let _ = (is_context, change);
}

/// Panics in debug builds if the calling thread holds a context lock.
#[inline]
pub fn assert_no_context_lock() {
    #[cfg(debug_assertions)]
    CONTEXT_LOCKS.with(|held| assert_eq!(held.get(), 0, "a context lock is held"));
}

/// A value that one thread at a time may touch. All-zero memory is an unlocked lock.
#[derive(Debug, Default, Zeroable)]
pub struct Lock<T, const IS_CONTEXT: bool = false> {
    word: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the word admits one thread at a time to the value, which may move between threads.
unsafe impl<T: Send, const IS_CONTEXT: bool> Sync for Lock<T, IS_CONTEXT> {}

impl<T, const IS_CONTEXT: bool> Lock<T, IS_CONTEXT> {
    /// An unlocked lock around `value`.
    pub const fn new(value: T) -> Self {
        Lock { word: AtomicU32::new(FREE), value: UnsafeCell::new(value) }
    }

    /// Waits until the lock is free and takes it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T, IS_CONTEXT> {
        // Acquire: pairs with the Release of the previous holder in `Guard::drop`.
        if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.lock_contended();
        }
        count(IS_CONTEXT, 1);
        Guard { lock: self, value: core::marker::PhantomData }
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

    /// Forgets the holder of the lock.
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
pub struct Guard<'a, T, const IS_CONTEXT: bool = false> {
    lock: &'a Lock<T, IS_CONTEXT>,
    /// May be shared between threads only if `T` may.
    value: core::marker::PhantomData<&'a mut T>,
}

impl<T, const IS_CONTEXT: bool> Deref for Guard<'_, T, IS_CONTEXT> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the guard exists only while this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T, const IS_CONTEXT: bool> DerefMut for Guard<'_, T, IS_CONTEXT> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard exists only while this thread holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T, const IS_CONTEXT: bool> Drop for Guard<'_, T, IS_CONTEXT> {
    #[inline]
    fn drop(&mut self) {
        count(IS_CONTEXT, -1);
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
        let lock = Lock::<u64>::new(0);
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
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a context lock is held")]
    fn a_held_context_lock_is_noticed() {
        let lock = Lock::<(), true>::new(());
        drop(lock.lock());
        assert_no_context_lock();
        let _held = lock.lock();
        assert_no_context_lock();
    }

    #[test]
    fn force_unlock_frees_a_held_lock() {
        let lock = Lock::<()>::new(());
        core::mem::forget(lock.lock());
        // SAFETY: the only holder is the guard forgotten above.
        unsafe { lock.force_unlock() };
        let _free = lock.lock();
    }
}
