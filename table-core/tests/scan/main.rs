//! Planning scans of small tables, from manifests that another library wrote.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deletes;
mod live;
mod manifests;
mod partitions;
mod random;
mod ranges;
mod requests;
mod table;
mod writer;
