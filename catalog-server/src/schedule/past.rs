//! History of superseded snapshots and schemas of a table, as recorded by the catalog with each metadata
//! file. Snapshot expiry uses it to determine ages.

use table_core::snapshot::superseded::Superseded;
use uuid::Uuid;

use crate::authz::action::Action;
use crate::catalog::backend::BackendError;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::history;

use super::Schedule;
use super::error::ScheduleError;

/// Number of metadata files that are read for one page. Most of them supersede one snapshot.
const PAGE_DOCUMENTS: u32 = 2_000;

/// Page of superseded snapshots and schemas, newest first.
#[derive(Debug)]
pub struct Past {
    /// UUID of the table (`table-uuid`).
    pub table_uuid: Uuid,
    /// Current catalog time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Horizon of as-of reads of the catalog, in milliseconds.
    pub time_travel_ms: i64,
    /// Ids of the snapshots that the table was created or registered with.
    pub inherited: Vec<i64>,
    /// Metadata files that were replaced: the location, the time of replacement in milliseconds since 1970,
    /// and the snapshots and schemas that were superseded by its successor.
    pub documents: Vec<(String, i64, Superseded)>,
    /// Time, in milliseconds since 1970, at or before which everything that is not listed was superseded.
    pub others_ms: i64,
    /// Start of the next page, for the parameter `before`; `None` if there is none.
    pub next: Option<i64>,
}

impl Schedule {
    /// Returns the snapshots and schemas of a table that were superseded in the last `age_ms` milliseconds,
    /// or within the horizon of as-of reads if that is longer. `before` is [`Past::next`] of the previous
    /// page.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist; if the recorded history cannot be parsed
    /// ([`ScheduleError::Backend`]); or if the database fails ([`ScheduleError::Backend`]).
    pub async fn past(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        age_ms: i64,
        before: Option<i64>,
    ) -> Result<Past, ScheduleError> {
        let action = Action::LoadHistory;
        let found = self.catalog.tables.require(request, warehouse, identifier, action).await?;
        let table = found.tabular_id;
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        let time_travel_ms = self.catalog.time_travel_ms();
        let since_ms = now_ms.saturating_sub(age_ms.max(time_travel_ms));
        let inherited = history::find_first(&self.db, table).await?.as_deref().map(parse).transpose()?;
        // One more is read, because a metadata file is listed with the time of its successor.
        let pointers = history::list_pointers(&self.db, table, before, PAGE_DOCUMENTS + 1).await?;
        let mut past = Past {
            table_uuid: found.table_uuid,
            now_ms,
            time_travel_ms,
            inherited: inherited.unwrap_or_default().inherited,
            documents: Vec::new(),
            others_ms: now_ms,
            next: None,
        };
        for (number, pointer) in pointers.iter().enumerate() {
            if pointer.valid_from_ms < since_ms {
                past.others_ms = since_ms.saturating_sub(1);
                return Ok(past);
            }
            let Some(former) = pointers.get(number + 1) else {
                // A full page ends before its last metadata file; the first one of the table has no
                // predecessor.
                past.next =
                    (number == PAGE_DOCUMENTS as usize).then_some(pointer.history_id.saturating_add(1));
                past.others_ms = pointer.valid_from_ms;
                return Ok(past);
            };
            let Some(superseded) = pointer.superseded.as_deref() else {
                past.others_ms = pointer.valid_from_ms;
                return Ok(past);
            };
            let superseded = parse(superseded)?;
            if superseded != Superseded::default() {
                let until_ms = pointer.valid_from_ms;
                past.documents.push((former.metadata_location.clone(), until_ms, superseded));
            }
        }
        Ok(past)
    }
}

fn parse(json: &str) -> Result<Superseded, ScheduleError> {
    Superseded::parse(json).map_err(|error| {
        BackendError::Internal(format!("the history of the table cannot be read: {error}")).into()
    })
}
