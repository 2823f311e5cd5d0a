/// `crate::lock::Guard`.
pub type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;

/// `crate::lock::Lock`.
#[derive(Debug, Default)]
pub struct Lock<T>(loom::sync::Mutex<T>);

impl<T> Lock<T> {
    pub fn new(value: T) -> Lock<T> {
        Lock(loom::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> Guard<'_, T> {
        self.0.lock().unwrap()
    }

    /// # Safety
    /// As in `crate::lock`; no model forks.
    pub unsafe fn force_unlock(&self) {
        unreachable!()
    }
}
