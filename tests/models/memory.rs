/// Room for a few elements.
pub mod chunked {
    use std::sync::OnceLock;

    use bytemuck::Zeroable;

    /// `crate::memory::chunked::Chunked`.
    #[derive(Debug)]
    pub struct Chunked<T: Zeroable>([OnceLock<T>; 2]);

    impl<T: Zeroable> Default for Chunked<T> {
        fn default() -> Self {
            Chunked(Default::default())
        }
    }

    impl<T: Zeroable + Default> Chunked<T> {
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
}
