//! Core of an Apache Iceberg catalog, independent of any server: metadata documents, commits, locations, and
//! the bytes of manifests and data files, as pure functions.
//!
//! Nothing in this crate reads a clock, draws a random number, or performs I/O; time and UUIDs are
//! parameters.
//!
//! * [`metadata`]: table and view metadata documents.
//! * [`commit`]: requirements and updates, from one metadata document to the next.
//! * [`manifest`]: manifest lists and manifests.
//! * [`mod@file`]: Parquet data files, delete files and Puffin files.
//! * [`expr`]: filter expressions and their evaluation on metrics and partitions.
//! * [`scan`]: scan planning.
//! * [`snapshot`]: new snapshots, snapshot expiration, and files that may be deleted.
//! * [`rewrite`]: maintenance plans, such as compaction of data files.
//! * [`location`]: normalised locations.
//! * [`text`]: numbers in messages.

pub mod commit;
pub mod expr;
pub mod file;
pub mod location;
pub mod manifest;
pub mod metadata;
pub mod rewrite;
pub mod scan;
pub mod snapshot;
pub mod text;
