//! Table with a long history, as left by a streaming writer: small appends, and after every 49 of them a
//! compaction of these.

use catalog_server::clock::Clock;
use serde_json::{Value, json};
use table_core::commit::apply;
use table_core::snapshot::change::{ChangeKind, FileChange};
use tests::process::Firn;

use super::files::{self, RowTotals};
use super::rows::Rows;
use super::table::{self, Table};

/// Number of appends before each compaction.
const APPENDS: u32 = 49;
/// Number of rows of an append.
const ROWS: u64 = 10;

/// Creates a table with this number of snapshots. Returns the table, the rows of its current snapshot, and
/// the number of data files of that snapshot.
///
/// # Errors
///
/// Fails if the table cannot be created, or its files cannot be planned, written or committed.
pub async fn create(firn: &Firn, name: &str, snapshots: u32) -> anyhow::Result<(Table, RowTotals, u64)> {
    let rows = Rows::Keyed;
    let (table, mut metadata) = Table::create(firn, name, rows).await?;
    let (mut next, mut small, mut live) = (0, Vec::new(), 0);
    let mut updates = Vec::new();
    for snapshot in 1..=snapshots {
        let path = table.folder.join(format!("data/{snapshot:05}.parquet"));
        let mut change;
        if snapshot % (APPENDS + 1) == 0 {
            change = FileChange::new(ChangeKind::Replace);
            change.checks.since = metadata.current_snapshot_id();
            let first = next - ROWS * u64::from(APPENDS);
            change.added_data = vec![files::write_data(&path, rows, first..next)?];
            live -= small.len() as u64;
            change.removed_paths = std::mem::take(&mut small);
        } else {
            change = FileChange::new(ChangeKind::Append);
            change.added_data = vec![files::write_data(&path, rows, next..next + ROWS)?];
            next += ROWS;
            small.push(files::location(&path));
        }
        live += 1;
        let new = table::plan(&metadata, &change, i64::from(snapshot))?;
        table::write(&new)?;
        metadata = apply(&metadata, "file:///none", &new.commit.updates, Clock::system().now_ms())?.metadata;
        let mut request: Value = serde_json::from_str(new.body.as_str())?;
        updates.push(request["updates"][0].take());
    }
    // All snapshots are added in one commit. Separate commits would write gigabytes of metadata files, which
    // are not measured.
    updates.push(json!({ "action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": snapshots }));
    table.post(firn, json!({ "requirements": [], "updates": updates }).to_string()).await?;
    let sum = (0..next).map(|number| i128::from(rows.summand(number))).sum();
    Ok((table, RowTotals { rows: next, sum }, live))
}
