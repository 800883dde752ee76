//! Maintenance of tables: policies, candidates, and the queue of all jobs, also of those that the server runs.

pub mod candidates;
pub mod jobs;
pub mod policies;
