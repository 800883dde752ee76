//! Scan planning: determines the data files that a scan has to read, the delete files that apply to each of
//! them, and the residual filter. It performs no I/O: the input is decoded manifests, the output is the JSON
//! of the REST specification.
//!
//! [`table_scan::Scan`] is a request bound to a table. It selects the relevant manifests,
//! [`deletes::DeleteIndex`] indexes the delete files in them, and [`plan::ScanPage`] processes the data
//! manifests one at a time, so that memory does not grow with the table.
//!
//! ```text
//! let (scan, source) = Scan::new(&metadata, ScanRequest::parse(body)?)?;
//! let deletes = DeleteIndex::build(&scan, delete_manifests)?;
//! let mut page = Page::default();
//! for (manifest, listed) in data_manifests {
//!     page.add(&scan, &deletes, &manifest, &listed, 0..manifest.len())?;
//! }
//! let response = page.into_json(",\"status\":\"completed\"", &[]);
//! ```
//!
//! # Guarantee
//!
//! Every data file that may contain a matching row is planned, with every delete that may apply to it. Files
//! whose metrics are missing or cannot be evaluated are included.

pub mod deletes;
pub mod error;
pub mod json;
pub mod plan;
pub mod request;
pub mod table_scan;
