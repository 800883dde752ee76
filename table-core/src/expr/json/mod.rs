//! Expressions as JSON: the forms of the expressions specification, and the older ones of the REST document that
//! deployed clients write. Not their meaning.
//!
//! What is written is the older form wherever it can say it, because the newer clients read it too (expressions
//! specification, "Compatibility with REST catalog expressions"). A reference by id has only the new form.

mod operand;
mod read;
mod tree;
mod write;

/// How deep `and`, `or` and `not` may alternate. Functions on expressions recurse this far, so the limit protects the
/// stack; chains of one operation are one level, however long.
pub const EXPRESSION_DEPTH_MAX: usize = 100;

/// The longest expression that is read, in bytes. An `in` with a million numbers is shorter.
pub const EXPRESSION_BYTES_MAX: usize = 16 << 20;

/// The beginning of a text, for messages.
fn start(text: &str) -> &str {
    super::transform::first_characters(text, 60)
}
