//! What is worth rewriting in a table, and what has to be kept right while it is: plans, which somebody else carries out.
//!
//! [`policy`] is what is wanted, for a table or for many. [`live`] collects the files of a snapshot with their deletes, and
//! [`listings`] says which of them are there more than once.
//! [`compact`] groups data files, [`manifests`] manifests, [`convert`] chooses equality deletes to become positions, [`dangling`] finds
//! deletes that are for nothing any more, [`hot`] and [`publish`] say what is better left alone, [`remap`] moves deletes along with the rows they
//! are for, and [`health`] says how much there is to do. Plans are data that can be sent as JSON.

mod candidate;
pub mod compact;
pub mod convert;
pub mod dangling;
pub mod health;
pub mod hot;
pub mod listings;
pub mod live;
pub mod manifests;
pub mod options;
pub mod pack;
pub mod plan;
pub mod policy;
pub mod publish;
pub mod remap;
pub mod sizes;
