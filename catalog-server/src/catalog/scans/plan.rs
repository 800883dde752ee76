//! Planning of a scan: inline if the plan is small and computed soon, otherwise as plan tasks or as a submitted
//! plan.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use table_core::scan::plan::ScanPage;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;

use super::error::PlanError;
use super::parts::{Part, files_of, split};
use super::prepared::Start;
use super::scan_text::ScanText;
use super::{Scans, TableScan, plan_id};

/// Maximum total size of the requests contained in the plan tasks of one response, in bytes. A long request
/// leads to fewer and larger tasks.
const TASKS_TEXT_BYTES: usize = 32 << 20;

/// State of a plan, as returned to the client.
#[derive(Debug)]
pub enum Planned {
    /// Completed plan, or its first part.
    Completed {
        /// Plan as a JSON object that includes the status, without the plan id.
        answer: Vec<u8>,
        /// Id of the plan, to be added to the response.
        plan_id: Uuid,
    },
    /// Plan in progress, with the id by which it is fetched.
    Submitted(Uuid),
    /// Plan that the client cancelled.
    Cancelled,
    /// Plan that failed.
    Failed(PlanError),
}

/// Time for which a request waits for its plan before the plan continues asynchronously.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Time from the server's configuration.
    Configured,
    /// No time: the plan is always asynchronous.
    None,
}

impl Scans {
    /// Plans a scan of the current version of a table. `body` is the JSON of the request.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not plan scans of it ([`PlanError::Tabular`]); if
    /// the request is invalid ([`PlanError::Scan`]); if the manifests of its deletes take too much memory
    /// ([`PlanError::TooManyDeletes`]); if one of its manifests is outside of the warehouse or in a folder of
    /// another table ([`PlanError::Ownership`]); or if one of its files is missing or damaged, or the file
    /// system or the database fails ([`PlanError::Scan`], [`PlanError::Ownership`], [`PlanError::Backend`]).
    pub async fn plan(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        body: Bytes,
        patience: Patience,
    ) -> Result<Planned, PlanError> {
        let found = self.require_table(request, warehouse, identifier).await?;
        let (location, size_bytes) = (found.metadata_location, body.len());
        let text = self.turns.run(size_bytes, move || ScanText::read(location, &body)).await?;
        let memory = self.memory.take(text.weight_bytes()).await;
        let scan = Arc::new(TableScan {
            warehouse: warehouse.clone(),
            table: found.tabular_id,
            caller: request.caller.id().to_owned(),
            expires_ms: request.time_ms + self.expiry_ms(),
            text,
            _memory: memory,
        });
        // Invalid requests fail here instead of in a later poll.
        let start = self.start(&scan).await?;
        let (scans, of) = (self.clone(), scan.clone());
        let mut work = AbortOnDropHandle::new(tokio::spawn(async move { scans.compute(&of, start).await }));

        let patience = match patience {
            Patience::Configured => Duration::from_millis(self.settings.submit_after_ms),
            Patience::None => Duration::ZERO,
        };
        if !patience.is_zero()
            && let Ok(done) = tokio::time::timeout(patience, &mut work).await
        {
            let answer = done.map_err(|error| PlanError::unexpected(&error))??;
            let plan_id = plan_id::new(self.plan_key().await?, scan.table.0, &scan.caller);
            return Ok(Planned::Completed { answer, plan_id });
        }
        self.submit(&scan, work).await
    }

    /// Computes a plan: completely, or as plan tasks if it is large.
    pub(super) async fn compute(&self, scan: &Arc<TableScan>, start: Start) -> Result<Vec<u8>, PlanError> {
        const COMPLETED: &str = ",\"status\":\"completed\"";
        let mut turn = None;
        let prepared = self.prepare(scan, start, &mut turn).await?;
        let files = prepared.manifests.iter().map(|(_, file)| files_of(file)).sum::<u64>();
        if files <= self.settings.inline_files {
            let all = Part::of(0..prepared.manifests.len());
            let (page, rest) = self.page(&prepared, all, turn).await?;
            return self.answer(scan, &prepared, page, rest, COMPLETED).await;
        }
        let tasks_max = (TASKS_TEXT_BYTES / scan.text.request.text().len().max(1)).max(1);
        let task_files = files.div_ceil(u64::try_from(tasks_max).unwrap_or(u64::MAX));
        let parts = split(&prepared.manifests, task_files.max(self.settings.task_files));
        self.answer(scan, &prepared, ScanPage::default(), parts, COMPLETED).await
    }
}
