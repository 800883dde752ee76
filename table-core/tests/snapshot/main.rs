//! Snapshots that are planned, written to memory, committed, and read again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cleanup;
mod conflicts;
mod expire;
mod java;
mod lake;
mod manifests;
mod operations;
mod random;
mod rebase;
mod row_ids;
mod summary;
mod superseded;
mod unused;
