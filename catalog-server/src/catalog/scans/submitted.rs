//! Submitted plans: those that take longer than their client waits. They are stored in the database, so that any
//! replica can return them, and compute them again if the first one stops.

use std::sync::Arc;
use std::time::Duration;

use table_core::scan::request::UnparsedRequest;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::catalog::backend::with_causes;
use crate::catalog::names::Identifier;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::store::catalog::plans::{self, NewPlan, Plan, PlanOutcome};

use super::error::PlanError;
use super::plan::Planned;
use super::scan_text::ScanText;
use super::{Scans, TableScan, plan_id};

/// Maximum time that a poll waits for the plan. Afterwards, the client polls again.
const POLL_WAIT_MAX: Duration = Duration::from_secs(10);

impl Scans {
    /// Stores a plan that `work` is computing, so that the client can ask for it later.
    pub(super) async fn submit(
        self: &Arc<Self>,
        scan: &TableScan,
        work: AbortOnDropHandle<Result<Vec<u8>, PlanError>>,
    ) -> Result<Planned, PlanError> {
        let plan_id = id::random();
        let new = NewPlan {
            plan_id,
            tabular_id: scan.table,
            caller: &scan.caller,
            metadata_location: &scan.text.metadata_location,
            request: scan.text.request.text(),
        };
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::submit(&mut tx, &new).await?;
        tx.commit().await?;
        self.running.begin(plan_id);
        drop(self.finish_plan(plan_id, work));
        Ok(Planned::Submitted(plan_id))
    }

    /// Returns the plan of an id, or its state. If the replica that was computing it is no longer running,
    /// the plan is computed here.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not plan scans of it ([`PlanError::Tabular`]); if
    /// the plan does not exist, has expired or belongs to another table or caller
    /// ([`PlanError::NoSuchPlanId`]); or if the database fails ([`PlanError::Backend`]). A plan that cannot
    /// be computed is returned as [`Planned::Failed`].
    pub async fn find(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Planned, PlanError> {
        let waiting = self.await_plan(request, warehouse, identifier, plan_id);
        match tokio::time::timeout(POLL_WAIT_MAX, waiting).await {
            Ok(planned) => planned,
            Err(_) => Ok(Planned::Submitted(
                self.require_plan(request, warehouse, identifier, plan_id).await?.plan_id,
            )),
        }
    }

    async fn await_plan(
        self: &Arc<Self>,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Planned, PlanError> {
        loop {
            let finished = self.running.next_end();
            let plan = self.require_plan(request, warehouse, identifier, plan_id).await?;
            match plan.outcome {
                PlanOutcome::Completed => {
                    if let Some(answer) = plans::find_answer(&self.db, plan.plan_id).await? {
                        return Ok(Planned::Completed { answer: answer.into_bytes(), plan_id: plan.plan_id });
                    }
                }
                PlanOutcome::Cancelled => return Ok(Planned::Cancelled),
                PlanOutcome::Submitted => {}
            }
            if !self.running.begin(plan.plan_id) {
                finished.await;
                continue;
            }
            let plan_id = plan.plan_id;
            let scans = self.clone();
            let warehouse = warehouse.clone();
            let again = tokio::spawn(async move { scans.plan_again(&warehouse, plan).await });
            let work = self.finish_plan(plan_id, AbortOnDropHandle::new(again));
            match work.await.map_err(|error| PlanError::unexpected(&error)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) | Err(error) => return Ok(Planned::Failed(error)),
            }
        }
    }

    /// Cancels a plan. Work in progress is completed, but its result is discarded. For a plan that was
    /// completed in its first response it has no effect.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or the caller may not plan scans of it ([`PlanError::Tabular`]); if
    /// the plan does not exist, has expired or belongs to another table or caller
    /// ([`PlanError::NoSuchPlanId`]); or if the database fails ([`PlanError::Backend`]).
    pub async fn cancel(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<(), PlanError> {
        if self.was_complete(request, warehouse, identifier, plan_id).await? {
            return Ok(());
        }
        let plan = self.require_plan(request, warehouse, identifier, plan_id).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::cancel(&mut tx, plan.plan_id).await?;
        Ok(tx.commit().await?)
    }

    /// Returns `true` if the id is that of a plan that was completed in its first response, so that there is
    /// nothing to cancel.
    async fn was_complete(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<bool, PlanError> {
        let found = self.require_table(request, warehouse, identifier).await?;
        let Ok(plan_id) = Uuid::try_parse(plan_id) else { return Ok(false) };
        if plan_id.get_version() != Some(uuid::Version::Custom) {
            return Ok(false);
        }
        let (table, caller) = (found.tabular_id.0, request.caller.id());
        Ok(plan_id::is_ours(self.plan_key().await?, table, caller, plan_id))
    }

    /// Computes a submitted plan again, because the replica that was computing it is no longer running.
    async fn plan_again(&self, warehouse: &Warehouse, plan: Plan) -> Result<Vec<u8>, PlanError> {
        let Some(request) = plans::find_request(&self.db, plan.plan_id).await? else {
            // The plan was completed or cancelled meanwhile, so the empty answer is not stored.
            return Ok(Vec::new());
        };
        let location = plan.metadata_location;
        let request = UnparsedRequest::from_text(request.into_boxed_str());
        let text = self.turns.run(request.text().len(), move || ScanText::new(location, request)).await;
        let memory = self.memory.take(text.weight_bytes()).await;
        let scan = Arc::new(TableScan {
            warehouse: warehouse.clone(),
            table: plan.tabular_id,
            caller: plan.caller,
            expires_ms: plan.created_ms + self.expiry_ms(),
            text,
            _memory: memory,
        });
        let start = self.start(&scan).await?;
        self.compute(&scan, start).await
    }

    async fn require_plan(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        plan_id: &str,
    ) -> Result<Plan, PlanError> {
        let found = self.require_table(request, warehouse, identifier).await?;
        let missing = || PlanError::NoSuchPlanId(plan_id.to_owned());
        let plan = match Uuid::try_parse(plan_id) {
            Ok(plan_id) => plans::find(&self.db, plan_id).await?.ok_or_else(missing)?,
            Err(_) => return Err(missing()),
        };
        let now_ms = self.db.now_ms(self.clock.now_ms()).await?;
        let is_expired = plan.created_ms + self.expiry_ms() < now_ms;
        if is_expired || plan.tabular_id != found.tabular_id || plan.caller != request.caller.id() {
            return Err(missing());
        }
        Ok(plan)
    }

    /// Waits for a submitted plan and stores its result. A plan that fails remains submitted: the next poll
    /// computes it again and returns the error.
    fn finish_plan(
        self: &Arc<Self>,
        plan_id: Uuid,
        work: AbortOnDropHandle<Result<Vec<u8>, PlanError>>,
    ) -> JoinHandle<Result<(), PlanError>> {
        let scans = self.clone();
        tokio::spawn(async move {
            let kept = match work.await.map_err(|error| PlanError::unexpected(&error)) {
                Ok(Ok(answer)) => scans.keep_answer(plan_id, &answer).await,
                Ok(Err(error)) | Err(error) => Err(error),
            };
            if let Err(error) = &kept {
                tracing::info!(plan.id = %plan_id, error = with_causes(error), "a submitted plan failed");
            }
            scans.running.end(plan_id);
            kept
        })
    }

    async fn keep_answer(&self, plan_id: Uuid, answer: &[u8]) -> Result<(), PlanError> {
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        plans::complete(&mut tx, plan_id, &String::from_utf8_lossy(answer)).await?;
        Ok(tx.commit().await?)
    }
}
