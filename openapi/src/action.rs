//! Registry of the actions of maintenance: the only place where they are named. What a job of an action does is
//! not decided here but by the workers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Action of a maintenance job.
///
/// Its name is the same in JSON, in SQL, on the command line, and as the section of maintenance policies with
/// its settings.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobAction {
    /// Reads the metadata of the table, rates its health, and determines which other actions are due.
    Evaluate,
    /// Merges small data files and applies deletes.
    Compact,
    /// Expires old snapshots, and deletes the files that only they referred to.
    ExpireSnapshots,
    /// Merges small manifests.
    RewriteManifests,
}

/// Error for a name that is not that of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAction(pub String);

impl JobAction {
    /// All actions.
    pub const ALL: [JobAction; 4] =
        [Self::Evaluate, Self::Compact, Self::ExpireSnapshots, Self::RewriteManifests];

    /// Actions that change tables, in the order in which they are carried out. Expiry is first, because files
    /// that only expired snapshots refer to need not be compacted.
    pub const CHANGES: [JobAction; 3] = [Self::ExpireSnapshots, Self::Compact, Self::RewriteManifests];

    /// Returns the name of the action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::Compact => "compact",
            Self::ExpireSnapshots => "expire-snapshots",
            Self::RewriteManifests => "rewrite-manifests",
        }
    }

    /// Returns a short description of the action, as in the help of the command line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Evaluate => "Evaluate the health of the table, and which other actions are due",
            Self::Compact => "Merge small files, and apply deletes",
            Self::ExpireSnapshots => "Expire old snapshots, and delete files that only they needed",
            Self::RewriteManifests => "Merge small manifests",
        }
    }

    /// Returns `true` if the action adds snapshots to `main`. Such actions wait while commits on another
    /// branch wait to be published by a fast-forward of `main`.
    pub fn adds_snapshots(self) -> bool {
        match self {
            Self::Evaluate | Self::ExpireSnapshots => false,
            Self::Compact | Self::RewriteManifests => true,
        }
    }
}

impl FromStr for JobAction {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, UnknownAction> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == name);
        found.ok_or_else(|| UnknownAction(name.to_owned()))
    }
}

impl fmt::Display for JobAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Display for UnknownAction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` is not an action of maintenance", self.0)
    }
}

impl std::error::Error for UnknownAction {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_in_json_is_the_name_everywhere() {
        for action in JobAction::ALL {
            assert_eq!(serde_json::json!(action), action.as_str());
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert_eq!("vacuum".parse::<JobAction>(), Err(UnknownAction("vacuum".to_owned())));
    }

    #[test]
    fn evaluation_alone_changes_no_table() {
        let changes = JobAction::ALL.into_iter().filter(|action| *action != JobAction::Evaluate);
        assert!(changes.into_iter().all(|action| JobAction::CHANGES.contains(&action)));
        assert!(!JobAction::CHANGES.contains(&JobAction::Evaluate));
    }
}
