//! Scan requests of clients: `PlanTableScanRequest` of the REST specification.

use super::error::ScanError;
use crate::expr::bind::NameMatching;
use crate::expr::expression::Expression;
use crate::metadata::json::{Fields, push_object};

/// Scan request that has not been validated against a table yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanRequest {
    /// Snapshots to scan.
    pub range: SnapshotRange,
    /// Row filter (`filter`).
    pub filter: Expression,
    /// Comparison of column names (`case-sensitive`).
    pub names: NameMatching,
    /// Schema in which column names are resolved (`use-snapshot-schema`).
    pub schema: SchemaChoice,
    /// Names of the columns whose metrics the client requests (`stats-fields`).
    pub stats_fields: Vec<String>,
    /// Number of rows after which the client stops reading (`min-rows-requested`).
    pub rows_min: Option<i64>,
}

/// Snapshots that are scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRange {
    /// Current snapshot of the main branch.
    Current,
    /// Snapshot with this id (time travel).
    At(i64),
    /// Rows appended after one snapshot, up to and including another one (incremental append scan).
    Appended {
        /// Id of the snapshot before the first one that is scanned (`start-snapshot-id`); `None` to scan from
        /// the beginning.
        after: Option<i64>,
        /// Id of the last snapshot that is scanned (`end-snapshot-id`).
        up_to: i64,
    },
}

/// Schema that a scan uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaChoice {
    /// Current schema of the table, as for branches.
    Table,
    /// Schema that the snapshot was written with, as for time travel.
    Snapshot,
}

/// Fields that have an effect on a plan. `select` has none: the files to read do not depend on it, and
/// engines put metadata columns into it that are in no schema.
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

/// Scan request as text. Nothing of it is decoded yet, because its values may take far more memory than their
/// text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnparsedRequest(Box<str>);

impl UnparsedRequest {
    /// Reads the body of a request, and retains the fields that have an effect on its plan, with every value as
    /// the client wrote it.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Invalid`] if the body is not a JSON object, or if a removed field is malformed.
    /// The remaining fields are validated by [`UnparsedRequest::parse`].
    pub fn read(body: &[u8]) -> Result<UnparsedRequest, ScanError> {
        let fields = fields(body)?;
        names(&fields, "select")?;
        let present = FIELDS.iter().filter_map(|name| Some((*name, fields.present(name)?.get())));
        let mut text = String::new();
        push_object(&mut text, present);
        Ok(UnparsedRequest(text.into_boxed_str()))
    }

    /// Creates the request from a text that [`UnparsedRequest::text`] returned.
    pub fn from_text(text: Box<str>) -> UnparsedRequest {
        UnparsedRequest(text)
    }

    /// Returns the request as JSON.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Parses the request.
    ///
    /// # Errors
    ///
    /// Fails as [`ScanRequest::parse`] does.
    pub fn parse(&self) -> Result<ScanRequest, ScanError> {
        ScanRequest::parse(self.0.as_bytes())
    }
}

impl ScanRequest {
    /// Parses the body of a request. The filter is passed to the expression parser as the client wrote it.
    ///
    /// # Errors
    ///
    /// Fails with [`ScanError::Invalid`] if the body is not a scan request, and with [`ScanError::Filter`] if
    /// its filter is not an expression.
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
            return Err(invalid("`min-rows-requested` must be 0 or more"));
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
        invalid(format!("`{name}` must be a whole number, not `{}`", shown().unwrap_or_default()))
    })
}

fn flag(fields: &Fields<'_>, name: &str, default: bool) -> Result<bool, ScanError> {
    let flag = fields.optional(name).map_err(|_| invalid(format!("`{name}` must be true or false")))?;
    Ok(flag.unwrap_or(default))
}

fn names(fields: &Fields<'_>, name: &str) -> Result<Vec<String>, ScanError> {
    let names = fields.optional(name);
    let names = names.map_err(|_| invalid(format!("`{name}` must be a list of column names")))?;
    Ok(names.unwrap_or_default())
}

fn range(fields: &Fields<'_>) -> Result<SnapshotRange, ScanError> {
    let number = |name| number(fields, name);
    match (number("snapshot-id")?, number("start-snapshot-id")?, number("end-snapshot-id")?) {
        (None, None, None) => Ok(SnapshotRange::Current),
        (Some(id), None, None) => Ok(SnapshotRange::At(id)),
        (None, after, Some(up_to)) => Ok(SnapshotRange::Appended { after, up_to }),
        (None, Some(_), None) => Err(ScanError::Invalid(
            "`start-snapshot-id` needs an `end-snapshot-id`: the last snapshot of the incremental scan"
                .to_owned(),
        )),
        (Some(_), _, _) => Err(ScanError::Invalid(
            "`snapshot-id` requests a single snapshot, `start-snapshot-id` and \
             `end-snapshot-id` an incremental scan; send one or the other"
                .to_owned(),
        )),
    }
}
