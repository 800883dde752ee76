//! Periodic evaluation of tables without writes, whose snapshots grow old, too. The sweep passes through all
//! tables repeatedly, in small pages.

use std::time::Duration;

use openapi::action::JobAction;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::catalog::tabular::TabularKind;
use crate::store::events::cursors::{self, Cursor};
use crate::store::ids::TabularId;
use crate::store::maintenance::candidates::{self, Candidate};

use super::Schedule;
use super::automatic_job::{AutomaticJob, PRIORITY_EVALUATE};
use super::error::ScheduleError;

/// Delay of the first sweep, because other work has precedence after a start.
const FIRST: Duration = Duration::from_mins(1);
const INTERVAL: Duration = Duration::from_mins(10);
/// Number of tables that are processed in one transaction.
const PAGE_TABLES: u32 = 200;
/// Maximum number of pages per sweep. That is more than a million tables per day.
const PAGES: u32 = 50;
/// Name of the cursor.
const TABLES: &str = "tables";
const MINUTE_MS: i64 = 60_000;

impl Schedule {
    /// Sweeps periodically until `stop` is cancelled.
    pub async fn run_sweep(&self, stop: CancellationToken) {
        let mut wait = FIRST;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = INTERVAL;
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep() => swept,
            };
            if let Err(error) = swept {
                tracing::warn!(%error, "cannot determine which tables are due; trying again");
            }
        }
    }

    /// Queues an evaluation of each table that was not evaluated for a long time
    /// ([`crate::config::Maintenance::sweep_minutes`]), for some thousand tables at most, starting where the
    /// previous sweep ended.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`ScheduleError::Backend`]).
    pub async fn sweep(&self) -> Result<(), ScheduleError> {
        for _ in 0..PAGES {
            if !self.sweep_page().await? {
                break;
            }
        }
        Ok(())
    }

    /// Processes one page. Returns `true` if there are more tables.
    async fn sweep_page(&self) -> Result<bool, ScheduleError> {
        let Some(from) = cursors::find(&self.db, TABLES).await? else {
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            let start = Cursor { at_ms: tx.at_ms(), id: Uuid::nil() };
            cursors::create(&mut tx, TABLES, start).await?;
            tx.commit().await?;
            return Ok(true);
        };
        let page =
            candidates::list(&self.db, JobAction::Evaluate.as_str(), TabularId(from.id), PAGE_TABLES).await?;
        // After the last table, the sweep starts again with the first one.
        let end = page.last().filter(|_| page.len() == PAGE_TABLES as usize).map(|last| last.tabular_id.0);
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        let before_ms = now_ms - i64::from(self.settings.sweep_minutes) * MINUTE_MS;
        let mut due_tables = Vec::new();
        for candidate in page.into_iter().filter(|candidate| is_due(candidate, before_ms)) {
            let Some(table) = self.find_due_table(candidate).await? else { continue };
            let earliest_ms = self.earliest_ms(
                JobAction::Evaluate,
                &self.list_finished_jobs(&table, JobAction::Evaluate).await?,
            );
            due_tables.push((table, earliest_ms));
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let at_ms = tx.at_ms();
        let to = Cursor { at_ms, id: end.unwrap_or_default() };
        if !cursors::advance(&mut tx, TABLES, from, to).await? {
            // Another replica is sweeping; a second one would only do the same.
            return Ok(false);
        }
        for (table, earliest_ms) in &due_tables {
            let new = AutomaticJob {
                table,
                action: JobAction::Evaluate,
                reason: "the table was not evaluated for a long time",
                priority: PRIORITY_EVALUATE,
                earliest_ms: *earliest_ms,
            };
            new.enqueue(&mut tx, at_ms).await?;
        }
        tx.commit().await?;
        Ok(end.is_some())
    }
}

/// Returns `true` if the last evaluation of a table was queued before `before_ms`, or never.
fn is_due(candidate: &Candidate, before_ms: i64) -> bool {
    candidate.kind == TabularKind::Table
        && !candidate.is_paused
        && !candidate.is_open
        && candidate.made_ms.is_none_or(|made_ms| made_ms < before_ms)
}
