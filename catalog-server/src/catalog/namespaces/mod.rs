//! Use cases on namespaces and their properties.

use bytes::Bytes;
use indexmap::IndexMap;
use serde_json::json;

use crate::authz::Resource;
use crate::authz::action::Action;
use crate::id;
use crate::request::Request;
use crate::store::catalog::as_of::{self, PageAsOf};
use crate::store::catalog::namespaces::{self, CreateNamespace, DropNamespace, NamespaceRow, NewNamespace};
use crate::store::ids::NamespaceId;

use crate::catalog::Catalog;
use crate::catalog::error::CatalogError;
use crate::catalog::mutation::{AuditRecord, IdempotentResult, MutationResponse};
use crate::catalog::names::Namespace;
use crate::catalog::tabulars::locations;
use crate::catalog::warehouses::warehouse::Warehouse;

/// Maximum number of attempts to change properties that are changed concurrently.
const ATTEMPTS_MAX: usize = 16;
/// Maximum size of the properties of a namespace, in bytes of JSON.
const PROPERTIES_BYTES_MAX: usize = 1 << 20;

/// Property with the folder below which the tables of a namespace are created by default. Trino, Sail and dbt
/// create no table in a namespace without it.
const LOCATION: &str = "location";

/// Properties of a namespace, in order.
pub type Properties = IndexMap<String, String>;

impl Catalog {
    /// Returns a namespace on which the caller may do `action`.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist or the caller may not know of it
    /// ([`CatalogError::NoSuchNamespace`]), or may not do `action` on it ([`CatalogError::Forbidden`]), or if
    /// the database fails.
    pub async fn require_namespace(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        action: Action,
    ) -> Result<NamespaceRow, CatalogError> {
        let missing = || CatalogError::NoSuchNamespace(namespace.clone());
        let found = self.find_namespace(warehouse, namespace).await?.ok_or_else(missing)?;
        self.authorize(request, action, Resource::Namespace(found.namespace_id), missing)?;
        Ok(found)
    }

    /// Returns a namespace, if it exists. Access is not checked.
    ///
    /// # Errors
    ///
    /// Fails if the database fails.
    pub async fn find_namespace(
        &self,
        warehouse: &Warehouse,
        namespace: &Namespace,
    ) -> Result<Option<NamespaceRow>, CatalogError> {
        let found = match warehouse.at_ms {
            None => namespaces::find(&self.db, warehouse.id, namespace.path()).await?,
            Some(at_ms) => as_of::find_namespace(&self.db, warehouse.id, namespace.path(), at_ms).await?,
        };
        Ok(found)
    }

    /// Checks that the caller may do `action` on `parent`, or on the warehouse if it is `None`.
    async fn authorize_below(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        parent: Option<&Namespace>,
        action: Action,
    ) -> Result<(), CatalogError> {
        match parent {
            Some(parent) => self.require_namespace(request, warehouse, parent, action).await.map(drop),
            None => self.authorize_warehouse(request, warehouse, action),
        }
    }

    /// Returns the paths of up to `limit` namespaces directly below `parent`, in order, starting after the
    /// path `after`.
    ///
    /// # Errors
    ///
    /// Fails if the parent does not exist ([`CatalogError::NoSuchNamespace`]), if the caller may not list its
    /// namespaces ([`CatalogError::Forbidden`]), or if the database fails.
    pub async fn list_namespaces(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        parent: Option<&Namespace>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, CatalogError> {
        self.authorize_below(request, warehouse, parent, Action::ListNamespaces).await?;
        let parent = parent.map(Namespace::path);
        let rows = match warehouse.at_ms {
            None => namespaces::list_children(&self.db, warehouse.id, parent, after, limit).await?,
            Some(at_ms) => {
                let page = PageAsOf { after, limit, at_ms };
                as_of::list_children(&self.db, warehouse.id, parent, page).await?
            }
        };
        Ok(rows.into_iter().map(|row| row.path).collect())
    }

    /// Returns the properties of a namespace. They include `location`; if it is not set, it is the default
    /// folder for tables of the namespace.
    ///
    /// # Errors
    ///
    /// Fails if the namespace does not exist ([`CatalogError::NoSuchNamespace`]), if the caller may not load
    /// it ([`CatalogError::Forbidden`]), or if the database fails.
    pub async fn load_namespace(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
    ) -> Result<Properties, CatalogError> {
        let row = self.require_namespace(request, warehouse, namespace, Action::LoadNamespace).await?;
        let mut properties = decode(namespace, &row.properties)?;
        report_location(warehouse, namespace, &mut properties);
        Ok(properties)
    }

    /// Creates a namespace. Its parent must exist.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not create namespaces there
    /// ([`CatalogError::Forbidden`]), if the parent does not exist ([`CatalogError::NoSuchNamespace`]), if
    /// the namespace already exists ([`CatalogError::NamespaceExists`]), if the properties are too large,
    /// contain 0x00 or have an unusable location ([`CatalogError::Invalid`]), or if the database fails.
    pub async fn create_namespace(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        mut properties: Properties,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let parent = namespace.parent_path().map(Namespace::from_path).transpose()?;
        self.authorize_below(request, warehouse, parent.as_ref(), Action::CreateNamespace).await?;
        self.check_namespace_location(warehouse, &properties).await?;
        let text = encode(&properties)?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let new = NewNamespace {
            namespace_id: NamespaceId(id::ordered()),
            warehouse_id: warehouse.id,
            path: namespace.path(),
            properties: &text,
        };
        match namespaces::create(&mut tx, &new).await? {
            CreateNamespace::Created => {}
            CreateNamespace::AlreadyExists => return Err(CatalogError::NamespaceExists(namespace.clone())),
            CreateNamespace::ParentMissing => {
                let parent = Namespace::from_path(namespace.parent_path().unwrap_or_default())?;
                return Err(CatalogError::NoSuchNamespace(parent));
            }
        }
        let change = change(
            Action::CreateNamespace,
            warehouse,
            namespace,
            new.namespace_id,
            json!({ "properties": properties }),
        );
        self.record(&mut tx, request, change).await?;
        report_location(warehouse, namespace, &mut properties);
        let body = json!({ "namespace": namespace.levels(), "properties": properties });
        let body = Bytes::from(body.to_string());
        self.conclude(tx, request, IdempotentResult::Body(&body)).await?;
        Ok(MutationResponse::Body(body))
    }

    /// Checks that tables can be created below the `location` property of a namespace, if it is set.
    async fn check_namespace_location(
        &self,
        warehouse: &Warehouse,
        properties: &Properties,
    ) -> Result<(), CatalogError> {
        match properties.get("location") {
            Some(location) => self.check_usable(warehouse, "namespace property `location`", location).await,
            None => Ok(()),
        }
    }

    /// Drops an empty namespace.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not drop the namespace
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist ([`CatalogError::NoSuchNamespace`]) or
    /// is not empty ([`CatalogError::NamespaceNotEmpty`]), or if the database fails.
    pub async fn drop_namespace(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let row = self.require_namespace(request, warehouse, namespace, Action::DropNamespace).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        match namespaces::drop(&mut tx, row.namespace_id).await? {
            DropNamespace::Dropped => {}
            DropNamespace::NotEmpty => return Err(CatalogError::NamespaceNotEmpty(namespace.clone())),
            DropNamespace::Missing => return Err(CatalogError::NoSuchNamespace(namespace.clone())),
        }
        let change = change(Action::DropNamespace, warehouse, namespace, row.namespace_id, json!({}));
        self.record(&mut tx, request, change).await?;
        self.conclude(tx, request, IdempotentResult::Nothing).await?;
        Ok(MutationResponse::Nothing)
    }

    /// Sets and removes properties of a namespace.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view or the caller may not update the namespace
    /// ([`CatalogError::Forbidden`]), if the namespace does not exist ([`CatalogError::NoSuchNamespace`]), if
    /// a property is both set and removed ([`CatalogError::Unprocessable`]), if the properties are too large,
    /// contain 0x00 or have an unusable location ([`CatalogError::Invalid`]), if concurrent changes were
    /// faster too often ([`CatalogError::CommitFailed`]), or if the database fails.
    pub async fn update_namespace(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        namespace: &Namespace,
        removals: Vec<String>,
        updates: Properties,
    ) -> Result<MutationResponse, CatalogError> {
        warehouse.require_writable()?;
        let removals_bytes: usize = removals.iter().map(String::len).sum();
        if removals_bytes > PROPERTIES_BYTES_MAX {
            return Err(CatalogError::Invalid(format!(
                "the properties to remove have {removals_bytes} bytes of names together, at most \
                 {PROPERTIES_BYTES_MAX} are allowed"
            )));
        }
        if let Some(key) = removals.iter().find(|key| updates.contains_key(*key)) {
            return Err(CatalogError::Unprocessable(format!(
                "property `{key}` is both set and removed; name it in one of `updates` and `removals`"
            )));
        }
        for _ in 0..ATTEMPTS_MAX {
            let row = self.require_namespace(request, warehouse, namespace, Action::UpdateNamespace).await?;
            // After the decision about access, because the error tells of folders of others.
            self.check_namespace_location(warehouse, &updates).await?;
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
                continue;
            }
            let answer = json!({ "updated": updates.keys().collect::<Vec<_>>(), "removed": removed, "missing": missing });
            let change =
                change(Action::UpdateNamespace, warehouse, namespace, row.namespace_id, answer.clone());
            self.record(&mut tx, request, change).await?;
            let body = Bytes::from(answer.to_string());
            self.conclude(tx, request, IdempotentResult::Body(&body)).await?;
            return Ok(MutationResponse::Body(body));
        }
        Err(CatalogError::CommitFailed(format!(
            "properties of `{namespace}` are changed by others all the time; try again"
        )))
    }
}

fn change<'a>(
    action: Action,
    warehouse: &'a Warehouse,
    namespace: &Namespace,
    id: NamespaceId,
    detail: serde_json::Value,
) -> AuditRecord<'a> {
    AuditRecord {
        action,
        kind: "namespace",
        name: namespace.to_string(),
        id: id.0,
        warehouse: &warehouse.name,
        detail,
    }
}

/// Adds the default location for tables of the namespace, unless the properties have a location. It is
/// derived from the names and never stored.
fn report_location(warehouse: &Warehouse, namespace: &Namespace, properties: &mut Properties) {
    if !properties.contains_key(LOCATION) {
        let location = locations::of_namespace(&warehouse.location.to_string(), namespace);
        properties.insert(LOCATION.to_owned(), location);
    }
}

fn encode(properties: &Properties) -> Result<String, CatalogError> {
    let text = serde_json::to_string(properties).map_err(|error| CatalogError::Invalid(error.to_string()))?;
    if text.len() > PROPERTIES_BYTES_MAX {
        return Err(CatalogError::Invalid(format!(
            "the namespace's properties are {} bytes together, at most {PROPERTIES_BYTES_MAX} are allowed",
            text.len()
        )));
    }
    // PostgreSQL's text type can store any character but this one.
    if text.contains("\\u0000") {
        return Err(CatalogError::Invalid("a property contains the character 0x00; remove it".to_owned()));
    }
    Ok(text)
}

pub(in crate::catalog) fn decode(namespace: &Namespace, text: &str) -> Result<Properties, CatalogError> {
    serde_json::from_str(text)
        .map_err(|error| CatalogError::Internal(format!("stored properties of `{namespace}`: {error}")))
}
