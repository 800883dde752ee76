//! Scan planning: which data files a scan has to read, with which delete files, and what is left of its filter for
//! each. Pure: manifests come in decoded, plans go out as the JSON of the REST specification.
//!
//! [`table_scan::Scan`] is what a request means for a table. It decides which manifests matter, [`deletes::DeleteIndex`] holds
//! the delete files of those, and [`plan::Planner`] goes through the data manifests one at a time, so that memory does
//! not grow with the table.
//!
//! # The promise
//!
//! Every file that may hold a matching row is planned, with every delete that may apply to it. What is missing or
//! cannot be judged is kept.

pub mod deletes;
pub mod error;
pub mod json;
pub mod plan;
pub mod request;
pub mod table_scan;
