//! Maintenance of tables: policies, candidates and the job queue; and the clean-up of dropped tables.

pub mod candidates;
pub mod cleanup;
pub mod jobs;
pub mod policies;
