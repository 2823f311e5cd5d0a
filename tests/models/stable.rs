//! What `src/waiters` takes from `crate::stable`: room for a few elements.

use std::sync::OnceLock;

/// `crate::stable::Zeroed`.
///
/// # Safety
/// There is nothing to promise here.
pub unsafe trait Zeroed {}

/// `crate::stable::Stable`.
#[derive(Debug)]
pub struct Stable<T: Zeroed>([OnceLock<T>; 2]);

impl<T: Zeroed> Default for Stable<T> {
    fn default() -> Self {
        Stable(Default::default())
    }
}

impl<T: Zeroed + Default> Stable<T> {
    pub fn get(&self, index: u32) -> Option<&T> {
        self.0[index as usize].get()
    }

    pub fn reserve(&self, index: u32) -> Result<&T, ()> {
        Ok(self.0[index as usize].get_or_init(T::default))
    }

    /// # Safety
    /// There is nothing to promise here.
    pub unsafe fn clear(&self) {}
}
