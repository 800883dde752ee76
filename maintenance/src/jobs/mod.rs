//! Maintenance jobs, one module per action. A job plans, does the work, and commits, independent of its
//! requester ([`JobControl`](crate::control::JobControl)).
//!
//! A job is a synchronous function that runs on a thread of its own.
//!
//! ```text
//! let mut report = JobReport::default();
//! let job = JobContext { catalog: &catalog, policy: &policy, files: &files, budget: &budget, … };
//! registry::run(JobAction::Compact, &job, &mut report)?;
//! println!("{}", report.to_json());
//! ```

pub mod compact;
mod convert;
pub mod decision;
pub mod evaluate;
pub mod expire;
pub mod manifests;
pub mod registry;
pub mod unreadable;
