//! Rewriting a group of files: what is read, what is left of it, what is written, and whether that is right.
//!
//! `rewrite → { splice, shuffle } → { input, output, verify }`, and `deletes` before all of them; `new_deletes` writes such.

pub mod columns;
pub mod deletes;
pub mod input;
pub mod new_deletes;
pub mod output;
pub mod rewrite;
mod shuffle;
mod spill;
mod splice;
mod verify;
