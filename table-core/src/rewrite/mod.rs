//! Planning of table maintenance: selecting files that are worth rewriting, and preserving deletes during the
//! rewrite. The plans are carried out elsewhere.
//!
//! [`policy`] defines the maintenance settings of one or many tables. [`live`] collects the files of a
//! snapshot with their deletes, and [`listings`] finds data files with several manifest entries. [`compact`]
//! groups data files, [`manifests`] groups manifests, [`convert`] selects equality deletes to be converted to
//! position deletes, and [`dangling`] finds deletes that apply to no data file any more.
//! [`active_partitions`] and [`publish`] find what should not be rewritten at the moment, [`remap`] moves
//! deletes along with the rows that they delete, and [`health`] measures how much maintenance a table needs.
//! Plans are plain data that can be sent as JSON.

pub mod active_partitions;
pub mod bin_pack;
mod candidate;
pub mod compact;
pub mod convert;
mod cost;
pub mod dangling;
pub mod health;
pub mod listings;
pub mod live;
pub mod manifests;
pub mod options;
pub mod plan;
pub mod policy;
pub mod publish;
pub mod remap;
pub mod size_classes;
