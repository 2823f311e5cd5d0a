pub mod resfd {
    /// `crate::files::resfd::Note`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Note;
}
