//! Changes of the properties of namespaces.

use bytes::Bytes;
use serde_json::json;

use crate::authz::action::Action;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::audit::record;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Namespace;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::namespaces;

use super::error::NamespaceError;
use super::properties::{PROPERTIES_BYTES_MAX, Properties, decode, encode};
use super::{Namespaces, change};

/// Maximum number of attempts to change the properties of a namespace because concurrent changes were faster.
const ATTEMPTS_MAX: usize = 16;

impl Namespaces {
    /// Sets and removes properties of a namespace.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not update the namespace
    /// ([`NamespaceError::Forbidden`]); if the namespace does not exist
    /// ([`NamespaceError::NoSuchNamespace`]); if a property is both set and removed
    /// ([`NamespaceError::Contradiction`]); if the properties are too large or contain 0x00
    /// ([`NamespaceError::Invalid`]) or have an unusable location ([`NamespaceError::Ownership`]); if
    /// concurrent changes were faster too often ([`NamespaceError::ChangedMeanwhile`]); if a response was
    /// recorded under its idempotency key meanwhile ([`NamespaceError::Mutation`]); or if the database fails
    /// ([`NamespaceError::Backend`]).
    pub async fn update(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        removals: Vec<String>,
        updates: Properties,
    ) -> Result<MutationResponse, NamespaceError> {
        warehouse.require_writable()?;
        let removals_bytes: usize = removals.iter().map(String::len).sum();
        if removals_bytes > PROPERTIES_BYTES_MAX {
            return Err(NamespaceError::Invalid(format!(
                "the properties to remove have {removals_bytes} bytes of names together, at most \
                 {PROPERTIES_BYTES_MAX} are allowed"
            )));
        }
        if let Some(key) = removals.iter().find(|key| updates.contains_key(*key)) {
            return Err(NamespaceError::Contradiction(key.clone()));
        }
        retrying!(NamespaceError, ATTEMPTS_MAX, async {
            let row = self.require(request, warehouse, namespace, Action::UpdateNamespace).await?;
            // After the decision about access, because the error tells of folders of others.
            self.check_location(warehouse, &updates).await?;
            let mut properties = decode(namespace, &row.properties)?;
            let (removed, missing): (Vec<_>, Vec<_>) =
                removals.iter().partition(|key| properties.contains_key(*key));
            for key in &removed {
                properties.shift_remove(*key);
            }
            properties.extend(updates.clone());
            let text = encode(&properties)?;
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            if !namespaces::replace_properties(&mut tx, row.namespace_id, &row.properties, &text).await? {
                return Err(NamespaceError::ChangedMeanwhile(namespace.clone()));
            }
            let answer = json!({ "updated": updates.keys().collect::<Vec<_>>(), "removed": removed, "missing": missing });
            let change =
                change(Action::UpdateNamespace, warehouse, namespace, row.namespace_id, answer.clone());
            record(&mut tx, request, change).await?;
            let body = Bytes::from(answer.to_string());
            conclude(tx, request, IdempotentResult::Body(&body)).await?;
            Ok(MutationResponse::Body(body))
        })
    }
}
