//! Manifests and manifest lists: which files a snapshot consists of, read from the Avro files that say so.
//!
//! Reading is shaped by scan planning, which looks at very many entries and keeps few. A manifest is decompressed once
//! and walked once; what every scan needs (status, path, sizes) is kept decoded, and the rest stays where it is as a
//! position in the decompressed bytes, checked while walking, until somebody asks for it. No file is read here.

pub mod avro;
pub mod data_file;
pub mod entry;
pub mod error;
pub mod file;
pub mod list;
pub mod metrics;
pub mod partition;
pub mod shape;
