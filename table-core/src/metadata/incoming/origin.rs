//! Origin of a metadata part: a request, or a document of another writer.

/// Origin of a metadata part, which decides if its text may be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartOrigin {
    /// Part of a request. Its text is normalised where the meaning is clear: `null` for an absent member,
    /// other spellings of names.
    Request,
    /// Part of a document that another writer made and that is stored unchanged, so it must be readable as it
    /// is.
    Document,
}
