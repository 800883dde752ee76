//! What a client asks a scan for, as the REST specification's `PlanTableScanRequest`.

use serde_json::{Map, Value};

use super::error::ScanError;
use crate::expr::bind::NameMatching;
use crate::expr::expression::Expression;

/// A scan as it was asked for; nothing is checked against a table yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanRequest {
    /// Which rows, in time.
    pub range: SnapshotRange,
    /// Which rows, by their values.
    pub filter: Expression,
    /// How names are compared.
    pub names: NameMatching,
    /// Which schema names are looked up in.
    pub schema: SchemaChoice,
    /// The columns whose metrics are wanted.
    pub stats_fields: Vec<String>,
    /// Rows after which the client stops reading.
    pub rows_min: Option<i64>,
}

/// Which snapshots are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRange {
    /// The table as it is on its main branch.
    Current,
    /// The table as it was in a snapshot.
    At(i64),
    /// What was appended after a snapshot, up to and with another one.
    Appended {
        /// The last snapshot that is not asked for; from the beginning if `None`.
        after: Option<i64>,
        /// The last one that is.
        up_to: i64,
    },
}

/// Which schema a scan goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaChoice {
    /// The table's current one, as for branches.
    Table,
    /// The one the snapshot was written with, as for time travel.
    Snapshot,
}

impl ScanRequest {
    /// Reads a request's body. `select` is accepted and has no effect: which files are read does not depend on it, and
    /// engines name metadata columns in it that no schema has.
    pub fn parse(body: &[u8]) -> Result<ScanRequest, ScanError> {
        let invalid = |reason: String| ScanError::Invalid(format!("the request is not a scan: {reason}"));
        let body: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        let field = |name: &str| body.get(name).filter(|value| !value.is_null());
        let number = |name: &str| match field(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| invalid(format!("`{name}` has to be a whole number, not `{value}`"))),
        };
        let flag = |name: &str, default: bool| match field(name) {
            None => Ok(default),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| invalid(format!("`{name}` has to be true or false, not `{value}`"))),
        };
        let names = |name: &str| match field(name) {
            None => Ok(Vec::new()),
            Some(value) => serde_json::from_value::<Vec<String>>(value.clone())
                .map_err(|_| invalid(format!("`{name}` has to be a list of column names"))),
        };
        names("select")?;
        let range = match (number("snapshot-id")?, number("start-snapshot-id")?, number("end-snapshot-id")?) {
            (None, None, None) => SnapshotRange::Current,
            (Some(id), None, None) => SnapshotRange::At(id),
            (None, after, Some(up_to)) => SnapshotRange::Appended { after, up_to },
            (None, Some(_), None) => {
                return Err(ScanError::Invalid(
                    "`start-snapshot-id` needs an `end-snapshot-id`: the last snapshot of the incremental scan"
                        .to_owned(),
                ));
            }
            (Some(_), _, _) => {
                return Err(ScanError::Invalid(
                    "`snapshot-id` asks for one point in time, `start-snapshot-id` and `end-snapshot-id` for what \
                     was appended between two; send one or the other"
                        .to_owned(),
                ));
            }
        };
        let filter = match field("filter") {
            None => Expression::True,
            Some(filter) => Expression::parse(&filter.to_string())?,
        };
        let rows_min = number("min-rows-requested")?;
        if rows_min.is_some_and(|rows| rows < 0) {
            return Err(invalid("`min-rows-requested` has to be 0 or more".to_owned()));
        }
        Ok(ScanRequest {
            range,
            filter,
            names: if flag("case-sensitive", true)? {
                NameMatching::CaseSensitive
            } else {
                NameMatching::IgnoreCase
            },
            schema: if flag("use-snapshot-schema", false)? {
                SchemaChoice::Snapshot
            } else {
                SchemaChoice::Table
            },
            stats_fields: names("stats-fields")?,
            rows_min,
        })
    }
}
