//! Parameters of a commit that the caller supplies.

use uuid::Uuid;

/// Parameters of a commit that the caller supplies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Name of the branch to commit to, which is created if it does not exist.
    pub branch: String,
    /// Id of the new snapshot, positive and not used by another snapshot of the table.
    pub snapshot_id: i64,
    /// UUID that makes file names unique.
    pub commit_uuid: Uuid,
    /// Number of the attempt to commit the same change, starting at 1.
    pub attempt: u32,
    /// Timestamp of the snapshot, in milliseconds since 1970.
    pub now_ms: i64,
}
