//! The newest scan and commit reports of each table, as engines sent them. Gone with the table.

use sqlx::{query, query_as};
use uuid::Uuid;

use super::db::Db;
use super::error::StoreError;
use super::ids::TabularId;
use super::tx::Tx;

/// At most this many outdated reports are deleted with one insert: more than the one it makes
/// outdated, so that a lowered limit is reached in time, without a long transaction.
const PRUNE_MAX: i64 = 100;

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Report {
    /// Its id.
    pub report_id: Uuid,
    /// When it came.
    pub received_ms: i64,
    /// `scan` or `commit`.
    pub kind: String,
    /// The snapshot scanned or committed.
    pub snapshot_id: Option<i64>,
    /// The report as it came: JSON.
    pub body: String,
}

/// A report to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewReport<'a> {
    /// Its id, later than those of the reports before.
    pub report_id: Uuid,
    /// The table it is about.
    pub tabular_id: TabularId,
    /// `scan` or `commit`.
    pub kind: &'a str,
    /// The snapshot scanned or committed.
    pub snapshot_id: Option<i64>,
    /// The report as it came: JSON.
    pub body: &'a str,
}

/// Keeps a report, received at [`Tx::at_ms`], and only the newest `keep` of its table.
///
/// Returns `false`, changing nothing, if the table does not exist.
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

/// Up to `limit` reports of a table, newest first, those older than the one with id `before`.
pub async fn list(
    db: &Db,
    tabular_id: TabularId,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Report>, StoreError> {
    const SQL: &str = "
        SELECT report_id, received_ms, kind, snapshot_id, body FROM reports
        WHERE tabular_id = $1 AND report_id < $2 ORDER BY report_id DESC LIMIT $3";

    let before = before.unwrap_or(Uuid::max());
    fetch_all!(db, query_as::<_, Report>(SQL).bind(tabular_id).bind(before).bind(i64::from(limit)))
}
