//! Rewriting of a group of files: reading, removal of deleted rows, writing, and verification of the result.
//!
//! `rewrite → { splice, shuffle } → { input, output, verify }`. The module `deletes` runs before all of them,
//! and `new_deletes` writes deletes.

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
