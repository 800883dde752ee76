//! What a client asks a scan for, as the REST specification's `PlanTableScanRequest`.

use super::error::ScanError;
use crate::expr::bind::NameMatching;
use crate::expr::expression::Expression;
use crate::metadata::json::{Fields, push_object};

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

/// What has an effect on a plan. `select` has none: which files are read does not depend on it, and engines name metadata
/// columns in it that no schema has.
const FIELDS: [&str; 8] = [
    "snapshot-id",
    "start-snapshot-id",
    "end-snapshot-id",
    "filter",
    "case-sensitive",
    "use-snapshot-schema",
    "stats-fields",
    "min-rows-requested",
];

impl ScanRequest {
    /// Reads a request's body, whose filter goes to the parser of expressions as the client wrote it.
    ///
    /// Fails with [`ScanError::Invalid`] if it is no scan request, and with [`ScanError::Filter`] if its filter is no
    /// expression.
    pub fn parse(body: &[u8]) -> Result<ScanRequest, ScanError> {
        let fields = fields(body)?;
        names(&fields, "select")?;
        let range = range(&fields)?;
        let filter = match fields.present("filter") {
            None => Expression::True,
            Some(filter) => Expression::parse(filter.get())?,
        };
        let rows_min = number(&fields, "min-rows-requested")?;
        if rows_min.is_some_and(|rows| rows < 0) {
            return Err(invalid("`min-rows-requested` has to be 0 or more"));
        }
        Ok(ScanRequest {
            range,
            filter,
            names: if flag(&fields, "case-sensitive", true)? {
                NameMatching::CaseSensitive
            } else {
                NameMatching::IgnoreCase
            },
            schema: if flag(&fields, "use-snapshot-schema", false)? {
                SchemaChoice::Snapshot
            } else {
                SchemaChoice::Table
            },
            stats_fields: names(&fields, "stats-fields")?,
            rows_min,
        })
    }

    /// The request with nothing but what has an effect on its plan, every value as the client wrote it.
    ///
    /// Fails with [`ScanError::Invalid`] if the body is not a JSON object, or if what is left out is not what it should be;
    /// the rest is for [`ScanRequest::parse`] to judge.
    pub fn essential(body: &[u8]) -> Result<String, ScanError> {
        let fields = fields(body)?;
        names(&fields, "select")?;
        let present = FIELDS.iter().filter_map(|name| Some((*name, fields.present(name)?.get())));
        let mut text = String::new();
        push_object(&mut text, present);
        Ok(text)
    }
}

fn invalid(reason: impl std::fmt::Display) -> ScanError {
    ScanError::Invalid(format!("the request is not a scan: {reason}"))
}

fn fields(body: &[u8]) -> Result<Fields<'_>, ScanError> {
    let text = std::str::from_utf8(body).map_err(|_| invalid("it is not UTF-8 text"))?;
    Fields::parse(text, "request").map_err(invalid)
}

fn number(fields: &Fields<'_>, name: &str) -> Result<Option<i64>, ScanError> {
    let shown =
        || fields.present(name).map(|value| crate::expr::transform::first_characters(value.get(), 60));
    fields.optional(name).map_err(|_| {
        invalid(format!("`{name}` has to be a whole number, not `{}`", shown().unwrap_or_default()))
    })
}

fn flag(fields: &Fields<'_>, name: &str, default: bool) -> Result<bool, ScanError> {
    let flag = fields.optional(name).map_err(|_| invalid(format!("`{name}` has to be true or false")))?;
    Ok(flag.unwrap_or(default))
}

fn names(fields: &Fields<'_>, name: &str) -> Result<Vec<String>, ScanError> {
    let names = fields.optional(name);
    let names = names.map_err(|_| invalid(format!("`{name}` has to be a list of column names")))?;
    Ok(names.unwrap_or_default())
}

fn range(fields: &Fields<'_>) -> Result<SnapshotRange, ScanError> {
    let number = |name| number(fields, name);
    match (number("snapshot-id")?, number("start-snapshot-id")?, number("end-snapshot-id")?) {
        (None, None, None) => Ok(SnapshotRange::Current),
        (Some(id), None, None) => Ok(SnapshotRange::At(id)),
        (None, after, Some(up_to)) => Ok(SnapshotRange::Appended { after, up_to }),
        (None, Some(_), None) => Err(ScanError::Invalid(
            "`start-snapshot-id` needs an `end-snapshot-id`: the last snapshot of the incremental scan".to_owned(),
        )),
        (Some(_), _, _) => Err(ScanError::Invalid(
            "`snapshot-id` asks for one point in time, `start-snapshot-id` and `end-snapshot-id` for what was \
             appended between two; send one or the other"
                .to_owned(),
        )),
    }
}
