//! Metrics reports of engines: they are validated, and the most recent ones of each table are stored.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::authz::action::Action;
use crate::clock::Clock;
use crate::id;
use crate::request::Request;
use crate::store::catalog::tabular::TabularKind;
use crate::store::engine::db::Db;
use crate::store::events::reports::{self, NewReport};

use super::backend::BackendError;
use super::names::Identifier;
use super::tabulars::Tabulars;
use super::tabulars::error::TabularError;
use super::warehouses::warehouse::Warehouse;

/// Maximum size of a report, in bytes. A scan report with 1,000 projected columns has about 30 KB.
const REPORT_BYTES_MAX: usize = 256 << 10;

/// Fields of both kinds of reports. Their contents are skipped without parsing, so that nesting does not
/// matter.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    #[serde(rename = "report-type")]
    kind: String,
    table_name: Option<String>,
    snapshot_id: Option<i64>,
    metrics: Option<Box<RawValue>>,
    // Fields of a scan report.
    filter: Option<IgnoredAny>,
    schema_id: Option<i64>,
    projected_field_ids: Option<Vec<i64>>,
    projected_field_names: Option<Vec<String>>,
    // Fields of a commit report.
    sequence_number: Option<i64>,
    operation: Option<String>,
}

/// Metrics reports of the tables of all warehouses.
pub struct Reports {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) tabulars: Arc<Tabulars>,
    /// Maximum number of reports of a table that are stored.
    pub(super) per_table: u32,
}

/// Error of storing a metrics report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The report is too large or malformed, or lacks a required field.
    #[error("Invalid metrics report: {0}")]
    Invalid(String),
    /// The table does not exist, or the caller may not report metrics about it.
    #[error(transparent)]
    Tabular(#[from] TabularError),
    /// The database failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

from_backend!(ReportError);

impl Reports {
    /// Stores a metrics report about a table.
    ///
    /// # Errors
    ///
    /// Fails if the report is too large or malformed or lacks a required field ([`ReportError::Invalid`]); if
    /// the table does not exist, the caller may not report metrics about it, or the database fails while it
    /// is looked up ([`ReportError::Tabular`]); or if the report cannot be stored ([`ReportError::Backend`]).
    pub async fn store(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        report: &RawValue,
    ) -> Result<(), ReportError> {
        let body = report.get();
        let (report_kind, snapshot_id) = check(body)?;
        let (kind, action) = (TabularKind::Table, Action::ReportMetrics);
        let found = self.tabulars.require(request, warehouse, identifier, kind, action).await?;
        // Engines also report scans of an as-of view. Such reports are accepted but not stored, since the
        // table may have been dropped.
        if warehouse.at_ms.is_some() {
            return Ok(());
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let new = NewReport {
            report_id: id::ordered(),
            tabular_id: found.tabular_id,
            kind: report_kind,
            snapshot_id: Some(snapshot_id),
            body,
        };
        reports::insert(&mut tx, &new, self.per_table).await?;
        Ok(tx.commit().await?)
    }
}

fn check(body: &str) -> Result<(&'static str, i64), ReportError> {
    let invalid = ReportError::Invalid;
    if body.len() > REPORT_BYTES_MAX {
        return Err(invalid(format!("it is {} bytes, at most {REPORT_BYTES_MAX} are kept", body.len())));
    }
    let report: Report = serde_json::from_str(body).map_err(|error| invalid(error.to_string()))?;
    // Iceberg's Java implementation writes `scan-report` and `commit-report`.
    let (kind, missing) = match report.kind.as_str() {
        "scan-report" => (
            "scan",
            [
                ("filter", report.filter.is_none()),
                ("schema-id", report.schema_id.is_none()),
                ("projected-field-ids", report.projected_field_ids.is_none()),
                ("projected-field-names", report.projected_field_names.is_none()),
            ],
        ),
        "commit-report" => (
            "commit",
            [
                ("sequence-number", report.sequence_number.is_none()),
                ("operation", report.operation.is_none()),
                ("table-name", report.table_name.is_none()),
                ("metrics", report.metrics.is_none()),
            ],
        ),
        other => {
            return Err(invalid(format!(
                "its `report-type` is `{other}`, not `scan-report` or `commit-report`"
            )));
        }
    };
    if report.metrics.as_ref().is_some_and(|metrics| !metrics.get().starts_with('{')) {
        return Err(invalid("`metrics` is not an object".to_owned()));
    }
    let missing = missing.iter().find(|(_, is_missing)| *is_missing).map(|(name, _)| *name);
    let missing = missing.or(report.table_name.is_none().then_some("table-name"));
    let missing = missing.or(report.metrics.is_none().then_some("metrics"));
    match (missing, report.snapshot_id) {
        (Some(name), _) => Err(invalid(format!("`{name}` is missing"))),
        (None, None) => Err(invalid("`snapshot-id` is missing".to_owned())),
        (None, Some(snapshot_id)) => Ok((kind, snapshot_id)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_report_without_a_required_field_is_refused_and_the_field_named() {
        let scan = r#"{"report-type":"scan-report","table-name":"t","snapshot-id":1,"filter":true,"schema-id":0,
            "projected-field-ids":[1],"projected-field-names":["a"],"metrics":{}}"#;
        let commit = r#"{"report-type":"commit-report","table-name":"t","snapshot-id":1,"sequence-number":1,
            "operation":"append","metrics":{},"unknown":[1]}"#;
        for (text, kind) in [(scan, "scan"), (commit, "commit")] {
            assert_eq!(check(text).unwrap(), (kind, 1));
            let fields: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
            for name in fields.keys().filter(|name| *name != "unknown") {
                let mut fewer = fields.clone();
                fewer.remove(name);
                let error = check(&Value::Object(fewer).to_string()).unwrap_err().to_string();
                assert!(error.contains(name), "{error}");
            }
        }
        assert!(check(r#"{"report-type":"other"}"#).is_err());
    }
}
