//! What Apache Iceberg means, apart from any server: documents, commits, locations and the bytes of files as pure functions.
//!
//! Nothing here reads a clock, draws a random number, or performs I/O; time and UUIDs are parameters.

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
