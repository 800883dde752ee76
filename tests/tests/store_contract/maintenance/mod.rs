//! Maintenance of tables.

mod candidates;
mod jobs;
mod policies;
mod queue;
mod sweep;
