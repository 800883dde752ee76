//! JSON representation of expressions: the forms of the expressions specification, and the older ones of the
//! REST specification that deployed clients send.
//!
//! The writer uses the older form wherever it can represent the expression, because newer clients accept it
//! as well (expressions specification, "Compatibility with REST catalog expressions"). A reference by id
//! exists only in the newer form.

mod operand;
mod read;
mod tree;
mod write;

/// Maximum depth to which `and`, `or` and `not` may alternate. Functions on expressions recurse to this
/// depth, so the limit protects the stack; a chain of one operation counts as one level, independent of its
/// length.
pub const EXPRESSION_DEPTH_MAX: usize = 100;

/// Maximum length of an expression, in bytes. An `in` with a million numbers is shorter.
pub const EXPRESSION_BYTES_MAX: usize = 16 << 20;

/// Returns the beginning of a text, for messages.
fn start(text: &str) -> &str {
    super::transform::first_characters(text, 60)
}
