//! Plan tasks: parts of a plan that clients fetch one by one, from any replica.

use std::sync::Arc;

use table_core::scan::plan::ScanPage;

use crate::catalog::backend::BackendError;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::ids::TabularId;

use super::error::PlanError;
use super::parts::Part;
use super::plan_task::{PlanTask, SealedTask, TaskSource};
use super::prepared_cache::Prepared;
use super::{Scans, TableScan};

impl Scans {
    /// Returns the response for a plan task: its file scan tasks, and plan tasks for the rest if it does not
    /// fit into one page.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not plan scans of it ([`PlanError::Tabular`]); if
    /// the plan task was not issued for this table and caller, was changed, has expired, or its metadata file
    /// was deleted ([`PlanError::NoSuchPlanTask`]); if the manifests of its deletes take too much memory
    /// ([`PlanError::TooManyDeletes`]); if one of its manifests is outside of the warehouse or in a folder of
    /// another table ([`PlanError::Ownership`]); or if one of its files is missing or damaged, or the file
    /// system or the database fails ([`PlanError::Scan`], [`PlanError::Ownership`], [`PlanError::Backend`]).
    pub async fn fetch_tasks(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        token: String,
    ) -> Result<Vec<u8>, PlanError> {
        let found = self.require_table(request, warehouse, identifier).await?;
        let foreign =
            || PlanError::NoSuchPlanTask("it was not issued by this catalog, or was modified".to_owned());
        let key = self.plan_key().await?.to_vec();
        let sealed = self.turns.run(token.len(), move || SealedTask::check(&token, &key)).await;
        let sealed = sealed.ok_or_else(foreign)?;
        let weight_bytes = sealed.weight_bytes();
        let memory = self.memory.take(weight_bytes).await;
        let task = self.turns.run(weight_bytes, move || sealed.open()).await.ok_or_else(foreign)?;
        if task.table != found.tabular_id.0 || task.caller != request.caller.id() {
            return Err(PlanError::NoSuchPlanTask(format!("it is for another table than `{identifier}`")));
        }
        if task.expires_ms < request.time_ms {
            return Err(PlanError::NoSuchPlanTask("it has expired; plan the scan again".to_owned()));
        }
        let PlanTask { table, caller, expires_ms, scan: text, manifests: (from, to), entries } = task;
        let (warehouse, table) = (warehouse.clone(), TabularId(table));
        let scan = Arc::new(TableScan { warehouse, table, caller, expires_ms, text, _memory: memory });
        let mut turn = None;
        let prepared = match self.start(&scan).await {
            Ok(start) => self.prepare(&scan, start, &mut turn).await,
            Err(error) => Err(error),
        };
        let prepared = match prepared {
            Err(PlanError::Backend(BackendError::FileMissing(location)))
                if location == scan.text.metadata_location =>
            {
                return Err(PlanError::NoSuchPlanTask(format!(
                    "the metadata file it was planned on, `{location}`, was deleted; plan the scan again"
                )));
            }
            prepared => prepared?,
        };
        let numbers = prepared.manifests.iter().map(|(number, _)| *number);
        let start = numbers.clone().filter(|number| *number < from).count();
        let end = numbers.filter(|number| *number < to).count();
        let part = Part { manifests: start..end.max(start), entries: entries.0..entries.1 };
        let (page, rest) = self.page(&prepared, part, turn).await?;
        self.answer(&scan, &prepared, page, rest, "").await
    }

    /// Serialises a page as JSON, with plan tasks for the remaining parts of the scan.
    pub(super) async fn answer(
        &self,
        scan: &Arc<TableScan>,
        prepared: &Prepared,
        page: ScanPage,
        parts: Vec<Part>,
        tail: &'static str,
    ) -> Result<Vec<u8>, PlanError> {
        if parts.is_empty() {
            return Ok(page.into_json(tail, &[]));
        }
        let number = |index: usize| prepared.manifests.get(index).map_or(usize::MAX, |(number, _)| *number);
        let runs: Vec<_> = parts
            .into_iter()
            .map(|part| {
                let manifests = (number(part.manifests.start), number(part.manifests.end));
                (manifests, (part.entries.start, part.entries.end))
            })
            .collect();
        let (scan, key) = (scan.clone(), self.plan_key().await?.to_vec());
        let bytes = runs.len() * scan.text.request.text().len();
        let answer = self.turns.run(bytes, move || {
            let (table, caller, expires_ms) = (scan.table.0, scan.caller.as_str(), scan.expires_ms);
            let source = TaskSource { table, caller, expires_ms, scan: &scan.text };
            let tasks: Vec<_> =
                runs.into_iter().map(|(manifests, entries)| source.seal(&key, manifests, entries)).collect();
            page.into_json(tail, &tasks)
        });
        Ok(answer.await)
    }
}
