//! What went out of use in a table, and when, as far as the catalog recorded it with the table's documents. Expiry goes by it.

use table_core::snapshot::superseded::Superseded;
use uuid::Uuid;

use crate::catalog::error::CatalogError;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::Warehouse;
use crate::store::history;
use crate::store::tabulars::TabularKind;

use super::Schedule;

/// Documents looked at for one page; each commonly tells of one snapshot.
const PAGE_DOCUMENTS: u32 = 2_000;

/// A page of what went out of use, newest first.
#[derive(Debug)]
pub struct Past {
    /// The `table-uuid` of the table.
    pub table_uuid: Uuid,
    /// The time in the catalog now.
    pub now_ms: i64,
    /// How far back the catalog can be read as it was.
    pub time_travel_ms: i64,
    /// The snapshots that the table came with.
    pub inherited: Vec<i64>,
    /// Each with its file, until when it was the table's, and what went out of use then.
    pub documents: Vec<(String, i64, Superseded)>,
    /// Whatever is not told of went out of use then, or before.
    pub others_ms: i64,
    /// Where the next page starts.
    pub next: Option<i64>,
}

impl Schedule {
    /// What went out of use in a table in the last `age_ms`, or for as long as the catalog can be read as it was; after the place
    /// `before`.
    ///
    /// Fails as loading the table does.
    pub async fn past(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        age_ms: i64,
        before: Option<i64>,
    ) -> Result<Past, CatalogError> {
        let found = self.catalog.require_object(warehouse, identifier, TabularKind::Table).await?;
        let table = found.tabular_id;
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        let time_travel_ms = self.catalog.time_travel_ms();
        let since_ms = now_ms.saturating_sub(age_ms.max(time_travel_ms));
        let inherited = history::find_first(&self.db, table).await?.as_deref().map(parse).transpose()?;
        // One more, whose successor is the last of the page.
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
                // A full page ends before its last document; the table's first one has nothing before it.
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

fn parse(json: &str) -> Result<Superseded, CatalogError> {
    Superseded::parse(json)
        .map_err(|error| CatalogError::Internal(format!("the history of the table cannot be read: {error}")))
}
