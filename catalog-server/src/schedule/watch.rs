//! Change detection: reads the outbox for tables that were changed, and queues their evaluation. It reads no
//! metadata of tables.

use std::collections::BTreeMap;
use std::time::Duration;

use openapi::action::JobAction;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::authz::action::Action;
use crate::store::catalog::tabular::TabularKind;
use crate::store::events::audit::AuditEntry;
use crate::store::events::cursors::{self, Cursor};
use crate::store::events::outbox;
use crate::store::ids::TabularId;
use crate::store::maintenance::{candidates, jobs};

use super::Schedule;
use super::automatic_job::{AutomaticJob, DueTable, PRIORITY_EVALUATE};
use super::error::ScheduleError;
use super::outcome::TABLE_DROPPED;

/// Interval between two reads of the outbox.
const INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time, in milliseconds, in which events are left to accumulate; otherwise it is a quarter of the
/// debounce time ([`crate::config::Maintenance::debounce_ms`]).
const PATIENCE_MAX_MS: i64 = 5_000;
/// Maximum number of events that are processed, and so of jobs that are queued, in one transaction.
const BATCH_EVENTS: u32 = 200;
/// Name of the cursor.
const CHANGES: &str = "changes";
/// Actions that may make maintenance of a table due (commits, and changes of its settings), or that end its
/// maintenance.
const ACTIONS: [Action; 9] = [
    Action::CreateTable,
    Action::RegisterTable,
    Action::CommitTable,
    Action::Resume,
    Action::PutPolicy,
    Action::DeletePolicy,
    Action::DropTable,
    Action::PurgeTable,
    Action::UnregisterTable,
];

/// Change of a table, by its consequence.
enum Noticed {
    /// The table was dropped.
    Gone,
    /// The table is paused, and an evaluation of it is queued or running.
    Open,
    /// The table is to be evaluated, not before this instant.
    Due(Box<DueTable>, i64),
}

impl Schedule {
    /// Starts the change detection at the current time, by creating its cursor. Does nothing if the cursor
    /// exists.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`ScheduleError::Backend`]).
    pub async fn begin_watch(&self) -> Result<(), ScheduleError> {
        if cursors::find(&self.db, CHANGES).await?.is_some() {
            return Ok(());
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let now = Cursor { at_ms: tx.at_ms(), id: Uuid::nil() };
        cursors::create(&mut tx, CHANGES, now).await?;
        Ok(tx.commit().await?)
    }

    /// Detects changes until `stop` is cancelled.
    pub async fn run_watch(&self, stop: CancellationToken) {
        let mut is_failing = false;
        while !stop.is_cancelled() {
            match self.notice_changes().await {
                Ok(has_more) => {
                    is_failing = false;
                    if has_more {
                        continue;
                    }
                }
                Err(error) if is_failing => tracing::debug!(%error, "changes still cannot be read"),
                Err(error) => {
                    tracing::warn!(%error, "cannot determine which tables were changed; trying again");
                    is_failing = true;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    /// Queues an evaluation of each table that was changed, for one batch of events. Returns `true` if more
    /// events are ready.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`ScheduleError::Backend`]).
    pub async fn notice_changes(&self) -> Result<bool, ScheduleError> {
        let Some(from) = cursors::find(&self.db, CHANGES).await? else {
            self.begin_watch().await?;
            return Ok(true);
        };
        let after = Some((from.at_ms, from.id));
        // Settling makes writers wait for each other, so it is done only if there are events, and no more
        // often than necessary.
        let first = outbox::list(&self.db, after, i64::MAX, 1).await?;
        let patience_ms = (i64::from(self.settings.debounce_ms) / 4).min(PATIENCE_MAX_MS);
        let ripe_ms = self.db.now_ms(self.clock.now_ms()).await? - patience_ms;
        if first.first().is_none_or(|event| event.at_ms > ripe_ms) {
            return Ok(false);
        }
        let settled_ms = self.db.settle(self.clock.now_ms()).await?;
        let events = outbox::list(&self.db, after, settled_ms, BATCH_EVENTS).await?;
        let Some(last) = events.last() else { return Ok(false) };
        let to = Cursor { at_ms: last.at_ms, id: last.audit_id };

        let mut found = Vec::new();
        for (tabular_id, changed_ms) in changed(&events) {
            if let Some(noticed) = self.look_up(tabular_id).await? {
                found.push((tabular_id, changed_ms, noticed));
            }
        }
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        if !cursors::advance(&mut tx, CHANGES, from, to).await? {
            // Another replica was faster and processes these events.
            return Ok(false);
        }
        let evaluate = JobAction::Evaluate.as_str();
        for (tabular_id, changed_ms, noticed) in &found {
            match noticed {
                Noticed::Gone => jobs::queue::fail_queued(&mut tx, *tabular_id, TABLE_DROPPED).await?,
                Noticed::Open => {
                    if !jobs::queue::note_change(&mut tx, *tabular_id, evaluate, *changed_ms).await? {
                        // The job has ended meanwhile without having seen the change, so the batch is read
                        // again.
                        return Ok(true);
                    }
                }
                Noticed::Due(table, earliest_ms) => {
                    let new = AutomaticJob {
                        table,
                        action: JobAction::Evaluate,
                        reason: "the table was changed",
                        priority: PRIORITY_EVALUATE,
                        earliest_ms: *earliest_ms,
                    };
                    let start_ms = changed_ms + i64::from(self.settings.debounce_ms);
                    if !new.enqueue(&mut tx, start_ms).await? {
                        // A job of the action exists. It may be running, or wait for a reason that has
                        // nothing to do with this change.
                        if !jobs::queue::note_change(&mut tx, *tabular_id, evaluate, *changed_ms).await? {
                            // The job has ended meanwhile without having seen the change, so the batch is
                            // read again.
                            return Ok(true);
                        }
                        new.renew(&mut tx, start_ms).await?;
                    }
                }
            }
        }
        tx.commit().await?;
        Ok(events.len() == BATCH_EVENTS as usize)
    }

    /// Returns the consequence of a change of a table; `None` if nothing is due.
    async fn look_up(&self, tabular_id: TabularId) -> Result<Option<Noticed>, ScheduleError> {
        let Some(candidate) = candidates::find(&self.db, tabular_id, JobAction::Evaluate.as_str()).await?
        else {
            return Ok(Some(Noticed::Gone));
        };
        if candidate.kind != TabularKind::Table {
            return Ok(None);
        }
        if candidate.is_paused {
            return Ok(candidate.is_open.then_some(Noticed::Open));
        }
        let Some(table) = self.find_due_table(candidate).await? else { return Ok(None) };
        let earliest_ms = self
            .earliest_ms(JobAction::Evaluate, &self.list_finished_jobs(&table, JobAction::Evaluate).await?);
        Ok(Some(Noticed::Due(Box::new(table), earliest_ms)))
    }
}

/// Returns the tables of events, each with the time of its first change. They are ordered by id, so that two
/// transactions that queue jobs for the same tables cannot deadlock.
fn changed(events: &[AuditEntry]) -> BTreeMap<TabularId, i64> {
    let mut changed = BTreeMap::new();
    for event in events {
        let counts =
            event.object_kind == "table" && ACTIONS.iter().any(|action| action.as_str() == event.action);
        if let Some(id) = event.object_id.filter(|_| counts) {
            changed.entry(TabularId(id)).or_insert(event.at_ms);
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str, object_kind: &str, table: u128, at_ms: i64) -> AuditEntry {
        AuditEntry {
            audit_id: Uuid::nil(),
            at_ms,
            request_id: String::new(),
            caller: String::new(),
            action: action.to_owned(),
            object_kind: object_kind.to_owned(),
            object_name: String::new(),
            object_id: Some(Uuid::from_u128(table)),
            outcome: "done".to_owned(),
            detail: String::new(),
        }
    }

    #[test]
    fn the_first_change_of_each_table_counts() {
        let events = [
            event("commit-table", "table", 2, 10),
            event("create-table", "table", 1, 11),
            event("commit-table", "table", 2, 12),
            event("rename-table", "table", 3, 13),
            event("drop-table", "table", 4, 14),
            event("create-view", "view", 5, 15),
            event("put-policy", "warehouse", 6, 16),
            event("queue-job", "table", 7, 17),
            event("resume", "table", 8, 18),
        ];
        let found: Vec<_> = changed(&events).into_iter().map(|(id, at_ms)| (id.0.as_u128(), at_ms)).collect();
        assert_eq!(found, [(1, 11), (2, 10), (4, 14), (8, 18)]);
    }
}
