//! Snapshots that are planned, written to memory, committed, and read again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conflicts;
mod lake;
mod manifests;
mod operations;
mod random;
mod row_ids;
mod summary;
