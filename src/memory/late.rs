//! A place for a value in memory that starts as zeros, which need not be a value.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use bytemuck::Zeroable;

/// See the module. Whoever reads it knows that it was written; nothing is dropped.
#[derive(Debug)]
pub struct Late<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: `MaybeUninit` allows all bytes.
unsafe impl<T> Zeroable for Late<T> {}

impl<T> Late<T> {
    /// Where the value is, or will be.
    #[inline]
    pub fn get(&self) -> *mut T {
        self.0.get().cast()
    }
}
