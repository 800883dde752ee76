//! Rewriting a group of files: what is read, what is left of it, what is written.

mod columns;
mod deletes;
pub mod rewrite;
