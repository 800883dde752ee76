//! Submitted plans that this process is computing. Those of other replicas are not known here.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use uuid::Uuid;

/// Ids of the plans that this process is computing.
#[derive(Default)]
pub(super) struct RunningPlans {
    ids: Mutex<HashSet<Uuid>>,
    ended: Notify,
}

impl RunningPlans {
    /// Returns a future that resolves when a plan has ended after this call.
    pub(super) fn next_end(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Marks a submitted plan as in progress. Returns `false` if this process is already computing it.
    pub(super) fn begin(&self, plan_id: Uuid) -> bool {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(plan_id)
    }

    /// Marks a plan as ended.
    pub(super) fn end(&self, plan_id: Uuid) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).remove(&plan_id);
        self.ended.notify_waiters();
    }
}
