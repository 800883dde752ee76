//! Maintenance of tables, and the job queue.

mod candidates;
mod jobs;
mod policies;
mod server_jobs;
mod sweep;
