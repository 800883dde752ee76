//! Audit records of mutations. The database adds each to the outbox of events at the same time.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::store::engine::error::StoreError;
use crate::store::engine::tx::Tx;
use crate::store::events::audit::{self, NewAuditEntry};

/// Maximum size of the detail of an audit entry, in bytes of JSON. Audit entries are stored permanently.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// Description of a change for the audit trail and the events.
pub struct AuditRecord<'a> {
    /// Action that was performed.
    pub action: Action,
    /// Kind of the object: `warehouse`, `namespace`, `table` or `view`.
    pub kind: &'static str,
    /// Human-readable name of the object, without the warehouse.
    pub name: String,
    /// Id of the object.
    pub id: Uuid,
    /// Name of the warehouse.
    pub warehouse: &'a str,
    /// Further details as a JSON object, such as the new metadata location.
    pub detail: Value,
}

/// Audit record of a request, as it is stored.
pub(in crate::catalog) struct AuditEntryText<'a> {
    audit_id: Uuid,
    request_id: String,
    caller: &'a str,
    action: &'static str,
    object_kind: &'static str,
    object_name: String,
    object_id: Uuid,
    detail: String,
}

impl AuditRecord<'_> {
    /// Returns the record in the form in which it is stored for `request`.
    pub(in crate::catalog) fn of<'a>(&self, request: &'a Request) -> AuditEntryText<'a> {
        AuditEntryText {
            audit_id: id::ordered(),
            request_id: request.request_id.to_string(),
            caller: request.caller.id(),
            action: self.action.as_str(),
            object_kind: self.kind,
            object_name: format!("{}/{}", self.warehouse, self.name),
            object_id: self.id,
            detail: bounded(self.detail.to_string()),
        }
    }
}

impl AuditEntryText<'_> {
    /// Returns the row to be stored.
    pub(in crate::catalog) fn row(&self) -> NewAuditEntry<'_> {
        NewAuditEntry {
            audit_id: self.audit_id,
            request_id: &self.request_id,
            caller: self.caller,
            action: self.action,
            object_kind: self.object_kind,
            object_name: &self.object_name,
            object_id: Some(self.object_id),
            outcome: "done",
            detail: &self.detail,
        }
    }
}

/// Records a change in the audit trail, in its transaction.
///
/// # Errors
///
/// Fails if the database fails.
pub async fn record(tx: &mut Tx, request: &Request, change: AuditRecord<'_>) -> Result<(), StoreError> {
    audit::record(tx, &change.of(request).row()).await
}

fn bounded(detail: String) -> String {
    if detail.len() <= DETAIL_BYTES_MAX {
        return detail;
    }
    json!({ "omitted": format!("{} bytes, at most {DETAIL_BYTES_MAX} are kept", detail.len()) }).to_string()
}
