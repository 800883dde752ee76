//! Rewriting a group of files: what is read, what is left of it, what is written, and whether that is right.
//!
//! `rewrite → { splice, copy, shuffle } → { input, output, verify }`, and `deletes` before all of them.

mod columns;
mod copy;
pub mod deletes;
pub(crate) mod input;
pub mod output;
pub mod rewrite;
mod shuffle;
mod spill;
mod splice;
mod verify;
