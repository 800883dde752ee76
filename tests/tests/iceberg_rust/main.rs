//! The crate `iceberg` (iceberg-rust 0.10.1) as a client of the real server, and as a second opinion on what
//! `table-core` computes: transforms, single values, manifests. It is neither a reference nor part of the
//! product; where both disagree, `docs/compatibility.md` says which of them follows the specification.

#![expect(clippy::unwrap_used, reason = "a case fails if one of its assumptions is wrong")]

mod evolution;
mod lake;
mod literals;
mod manifest_lists;
mod manifests;
mod namespaces;
mod scans;
mod tables;
mod transforms;
mod values;
