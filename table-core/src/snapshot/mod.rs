//! Creation of snapshots and removal of old ones: determines the files to write in order to change a table's
//! files, and the files that may be deleted after snapshots have expired.
//!
//! This module performs no I/O. It requests manifest lists and manifests, which the caller reads and passes
//! in one by one, and it returns bytes to write and a commit to send, or files to delete. Where the
//! specification leaves the behaviour open, it follows Iceberg's Java library; deviations are documented.
//!
//! A [`change::FileChange`] of files is planned by a [`plan::SnapshotPlan`]; manifests are rewritten without
//! a change of files by a [`rewrite::Rewrite`]. [`rebase`] applies an append on top of concurrent commits.
//! [`expire`] selects the snapshots to remove, and a [`cleanup::Cleanup`] finds the files that only these
//! refer to.

pub mod age;
pub mod change;
pub mod cleanup;
pub mod commit;
pub mod context;
pub mod error;
pub mod expire;
pub mod plan;
pub mod rebase;
pub mod repeat;
pub mod rewrite;
pub mod superseded;

mod conflicts;
mod history;
mod output;
mod partitions;
mod remove_files;
mod removed_entries;
mod row_match;
mod sinks;
mod summary;
mod unused;
