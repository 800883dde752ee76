//! Snapshots in the making: what to write so that a table has other files, and what may be deleted once snapshots are gone.
//!
//! Everything here is a plan: it says which manifest lists and manifests it has to see, is given them one by one, and ends
//! in bytes to write and a commit to send, or in files to delete. Reading, writing and committing is the caller's. Where the
//! specification is silent, the behaviour is that of Iceberg's Java library; where it is stricter, the text says so.
//!
//! A change of files is a [`change::Change`], planned by a [`plan::Plan`]; manifests without a change of files are rewritten
//! by a [`rewrite::Rewrite`]. [`rebase`] puts an
//! append on top of what others committed. [`expire`] says which snapshots are due, and a [`cleanup::Cleanup`] what only they needed.

pub mod age;
pub mod change;
pub mod cleanup;
pub mod commit;
pub mod error;
pub mod expire;
pub mod plan;
pub mod rebase;
pub mod rewrite;
pub mod superseded;

mod conflicts;
mod history;
mod output;
mod partitions;
mod removal;
mod removed;
mod row_match;
mod sinks;
mod summary;
mod unused;
