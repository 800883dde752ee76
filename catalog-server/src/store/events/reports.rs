//! Latest scan and commit reports of each table, as sent by engines. They are deleted with the table.

use sqlx::{query, query_as};
use uuid::Uuid;

use crate::store::engine::db::Db;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::ids::TabularId;

/// Maximum number of outdated reports that are deleted with one insert. It is more than the single one that
/// the insert makes outdated, so that a lowered limit takes effect over time without a long transaction.
const PRUNE_MAX: i64 = 100;

/// Metrics report.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct MetricsReportRow {
    /// Id of the report.
    pub report_id: Uuid,
    /// Time of reception, in milliseconds since 1970.
    pub received_ms: i64,
    /// Kind of the report: `scan` or `commit`.
    pub kind: String,
    /// Snapshot that was scanned or committed.
    pub snapshot_id: Option<i64>,
    /// Report as received, as JSON.
    pub body: String,
}

/// Metrics report to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewReport<'a> {
    /// Id of the report; greater than those of earlier reports.
    pub report_id: Uuid,
    /// Table that was scanned or committed to.
    pub tabular_id: TabularId,
    /// Kind of the report: `scan` or `commit`.
    pub kind: &'a str,
    /// Snapshot that was scanned or committed.
    pub snapshot_id: Option<i64>,
    /// Report as received, as JSON.
    pub body: &'a str,
}

/// Stores a report, with the time [`Tx::at_ms`], and deletes those of its table that are older than the
/// newest `keep`.
///
/// Returns `false`, changing nothing, if the table does not exist.
///
/// # Errors
///
/// Fails if the database does not answer or fails the statement ([`StoreError::Database`]), or if the
/// transaction conflicts with a concurrent one ([`StoreError::Serialization`]).
pub async fn insert(tx: &mut Tx, new: &NewReport<'_>, keep: u32) -> Result<bool, StoreError> {
    const INSERT: &str = "
        INSERT INTO reports (report_id, tabular_id, received_ms, kind, snapshot_id, body)
        SELECT $1, tabular_id, $3, $4, $5, $6 FROM tabulars WHERE tabular_id = $2";
    const PRUNE: &str = "
        DELETE FROM reports WHERE report_id IN (
            SELECT report_id FROM reports WHERE tabular_id = $1
            ORDER BY report_id DESC LIMIT $3 OFFSET $2)";

    let at_ms = tx.at_ms();
    let inserted = execute!(
        tx,
        query(INSERT)
            .bind(new.report_id)
            .bind(new.tabular_id)
            .bind(at_ms)
            .bind(new.kind)
            .bind(new.snapshot_id)
            .bind(new.body)
    )?;
    if inserted == 0 {
        return Ok(false);
    }
    execute!(tx, query(PRUNE).bind(new.tabular_id).bind(i64::from(keep)).bind(PRUNE_MAX))?;
    Ok(true)
}

/// Returns up to `limit` reports of a table, newest first, those with an id less than `before`.
///
/// # Errors
///
/// Fails if the database does not answer or fails the query ([`StoreError::Database`]).
pub async fn list(
    db: &Db,
    tabular_id: TabularId,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<MetricsReportRow>, StoreError> {
    const SQL: &str = "
        SELECT report_id, received_ms, kind, snapshot_id, body FROM reports
        WHERE tabular_id = $1 AND report_id < $2 ORDER BY report_id DESC LIMIT $3";

    let before = before.unwrap_or(Uuid::max());
    fetch_all!(db, query_as::<_, MetricsReportRow>(SQL).bind(tabular_id).bind(before).bind(i64::from(limit)))
}
