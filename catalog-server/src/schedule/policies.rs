//! Maintenance policies. They are set for a warehouse, a namespace or a table, and inherited downwards.

use openapi::action::JobAction;
use serde_json::json;
use table_core::rewrite::policy::{MaintenancePolicy, Setting};

use crate::authz::action::Action;
use crate::catalog::backend::BackendError;
use crate::catalog::mutations::audit::{AuditRecord, record};
use crate::catalog::names::{Identifier, Namespace};
use crate::catalog::namespaces::error::NamespaceError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::request::Request;
use crate::store::catalog::names::LEVEL_SEPARATOR;
use crate::store::ids::TabularId;
use crate::store::maintenance::policies::{self, MaintenanceScopeId, PauseRow, PolicyRow};

use super::Schedule;
use super::error::ScheduleError;

/// Object that a policy applies to, by its name.
#[derive(Clone, Debug)]
pub enum MaintenanceScope {
    /// All tables of a warehouse.
    Warehouse(Warehouse),
    /// All tables of a namespace and of the namespaces in it.
    Namespace(Warehouse, Namespace),
    /// A single table.
    Table(Warehouse, Identifier),
}

/// Policy that is set for an object itself.
#[derive(Clone, Debug)]
pub struct OwnPolicy {
    /// Settings, as JSON.
    pub document: String,
    /// Number of the version, counted from 1; incremented by every change.
    pub version: i64,
    /// Time of the last change, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Identity of the caller that made it.
    pub updated_by: String,
}

/// Pause of the maintenance of a table.
#[derive(Clone, Debug)]
pub struct TablePause {
    /// Reason of the pause, for people.
    pub reason: String,
    /// Start of the pause, in milliseconds since 1970.
    pub since_ms: i64,
    /// Identity of the caller that paused the table.
    pub paused_by: String,
}

/// Policy that applies to a table, merged from its own and the inherited ones.
#[derive(Debug)]
pub struct Applicable {
    /// Id of the table.
    pub tabular_id: TabularId,
    /// Merged settings.
    pub policy: MaintenancePolicy,
    /// Settings with their sources: `this once`, `table`, `namespace a.b`, `warehouse`, `default`.
    pub settings: Vec<Setting<String>>,
    /// Current pause of the table, if it is paused.
    pub pause: Option<TablePause>,
}

impl MaintenanceScope {
    fn warehouse(&self) -> &Warehouse {
        match self {
            Self::Warehouse(warehouse) | Self::Namespace(warehouse, _) | Self::Table(warehouse, _) => {
                warehouse
            }
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Warehouse(_) => "warehouse",
            Self::Namespace(..) => "namespace",
            Self::Table(..) => "table",
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Warehouse(_) => String::new(),
            Self::Namespace(_, namespace) => namespace.to_string(),
            Self::Table(_, identifier) => identifier.to_string(),
        }
    }
}

impl From<PolicyRow> for OwnPolicy {
    fn from(PolicyRow { document, version, updated_ms, updated_by }: PolicyRow) -> Self {
        Self { document, version, updated_ms, updated_by }
    }
}

impl From<PauseRow> for TablePause {
    fn from(PauseRow { reason, since_ms, paused_by }: PauseRow) -> Self {
        Self { reason, since_ms, paused_by }
    }
}

impl Applicable {
    /// Returns the source of the policy that disables an action, if one does.
    pub fn disabled_by(&self, action: JobAction) -> Option<&str> {
        let name = format!("{action}.enabled");
        let setting = self.settings.iter().find(|setting| setting.name == name)?;
        (setting.value == json!(false)).then_some(setting.source.as_str())
    }
}

impl Schedule {
    /// Sets the policy of an object, and returns it as stored.
    ///
    /// # Errors
    ///
    /// Fails if the object does not exist or its warehouse is an as-of view, or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn put_policy(
        &self,
        request: &Request,
        target: &MaintenanceScope,
        policy: &MaintenancePolicy,
    ) -> Result<OwnPolicy, ScheduleError> {
        target.warehouse().require_writable()?;
        // The document is stored in parsed form, so that equal policies have equal texts. Serialisation
        // cannot fail: a policy consists of numbers and names.
        let document = serde_json::to_string(policy).unwrap_or_default();
        let scope = self.scope(request, target, Action::PutPolicy).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        let by = request.caller.id();
        let version = policies::put(&mut tx, target.warehouse().id, scope, &document, by).await?;
        let detail = json!({ "policy": policy, "version": version });
        record(&mut tx, request, change(Action::PutPolicy, target, scope, detail)).await?;
        let updated_ms = tx.at_ms();
        tx.commit().await?;
        Ok(OwnPolicy { document, version, updated_ms, updated_by: by.to_owned() })
    }

    /// Returns the policy of the object itself, without what it inherits.
    ///
    /// # Errors
    ///
    /// Fails if the object does not exist; if it has no policy of its own ([`ScheduleError::NoSuchPolicy`]);
    /// or if the database fails ([`ScheduleError::Backend`]).
    pub async fn require_policy(
        &self,
        request: &Request,
        target: &MaintenanceScope,
    ) -> Result<OwnPolicy, ScheduleError> {
        let found = policies::find(&self.db, self.scope(request, target, Action::LoadPolicy).await?).await?;
        found.map(OwnPolicy::from).ok_or_else(|| missing(target))
    }

    /// Deletes the policy of an object, so that the inherited settings apply again.
    ///
    /// # Errors
    ///
    /// Fails if the object does not exist or its warehouse is an as-of view; if it has no policy of its own
    /// ([`ScheduleError::NoSuchPolicy`]); or if the database fails ([`ScheduleError::Backend`]).
    pub async fn delete_policy(
        &self,
        request: &Request,
        target: &MaintenanceScope,
    ) -> Result<(), ScheduleError> {
        target.warehouse().require_writable()?;
        let scope = self.scope(request, target, Action::DeletePolicy).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        if !policies::delete(&mut tx, scope).await? {
            return Err(missing(target));
        }
        record(&mut tx, request, change(Action::DeletePolicy, target, scope, json!({}))).await?;
        Ok(tx.commit().await?)
    }

    /// Returns the policy that applies to a table. The settings of `once` override all others.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist; if a stored policy cannot be parsed ([`ScheduleError::Backend`]);
    /// or if the database fails ([`ScheduleError::Backend`]).
    pub async fn applicable_policy(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<Applicable, ScheduleError> {
        let action = Action::ExplainMaintenance;
        let found = self.catalog.tables.require(request, warehouse, identifier, action).await?;
        self.applicable_to(warehouse, &identifier.namespace, found.tabular_id, None).await
    }

    /// Returns the policy that applies to a table in this namespace.
    pub(super) async fn applicable_to(
        &self,
        warehouse: &Warehouse,
        namespace: &Namespace,
        tabular_id: TabularId,
        once: Option<MaintenancePolicy>,
    ) -> Result<Applicable, ScheduleError> {
        let mut chain: Vec<(String, MaintenancePolicy)> =
            once.into_iter().map(|policy| ("this once".to_owned(), policy)).collect();
        self.extend(&mut chain, "table", MaintenanceScopeId::Table(tabular_id)).await?;
        let mut path = Some(namespace.path());
        while let Some(levels) = path {
            let namespace = Namespace::from_path(levels)?;
            let found = self.catalog.namespaces.find_unauthorized(warehouse, &namespace).await?;
            let found = found.ok_or_else(|| NamespaceError::NoSuchNamespace(namespace.clone()))?;
            let scope = MaintenanceScopeId::Namespace(found.namespace_id);
            self.extend(&mut chain, &format!("namespace {namespace}"), scope).await?;
            path = levels.rsplit_once(LEVEL_SEPARATOR).map(|(parent, _)| parent);
        }
        self.extend(&mut chain, "warehouse", MaintenanceScopeId::Warehouse(warehouse.id)).await?;
        if chain.iter().all(|(_, policy)| policy.expire_snapshots.inherited.is_none()) {
            chain = chain.into_iter().map(|(source, policy)| (source, policy.with_inherited())).collect();
        }
        chain.push(("default".to_owned(), MaintenancePolicy::defaults()));
        let policy = chain.iter().fold(MaintenancePolicy::default(), |all, (_, policy)| all.over(policy));
        Ok(Applicable {
            tabular_id,
            policy,
            settings: MaintenancePolicy::settings(&chain),
            pause: policies::find_pause(&self.db, tabular_id).await?.map(TablePause::from),
        })
    }

    /// Pauses the maintenance of a table until [`Schedule::resume`].
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or its warehouse is an as-of view, or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn pause(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        reason: &str,
    ) -> Result<(), ScheduleError> {
        let target = MaintenanceScope::Table(warehouse.clone(), identifier.clone());
        let tabular_id = self.writable_table(request, warehouse, identifier, Action::Pause).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        policies::pause(&mut tx, tabular_id, reason, request.caller.id()).await?;
        let change = change(
            Action::Pause,
            &target,
            MaintenanceScopeId::Table(tabular_id),
            json!({ "reason": reason }),
        );
        record(&mut tx, request, change).await?;
        Ok(tx.commit().await?)
    }

    /// Ends the pause of a table, if there is one.
    ///
    /// # Errors
    ///
    /// Fails if the table does not exist or its warehouse is an as-of view, or if the database fails
    /// ([`ScheduleError::Backend`]).
    pub async fn resume(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
    ) -> Result<(), ScheduleError> {
        let target = MaintenanceScope::Table(warehouse.clone(), identifier.clone());
        let tabular_id = self.writable_table(request, warehouse, identifier, Action::Resume).await?;
        let mut tx = self.db.write(self.clock.now_ms()).await?;
        if policies::resume(&mut tx, tabular_id).await? {
            let change = change(Action::Resume, &target, MaintenanceScopeId::Table(tabular_id), json!({}));
            record(&mut tx, request, change).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Returns the id of a table. Fails if the warehouse is an as-of view, which is read-only.
    pub(super) async fn writable_table(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        action: Action,
    ) -> Result<TabularId, ScheduleError> {
        warehouse.require_writable()?;
        Ok(self.catalog.tables.require(request, warehouse, identifier, action).await?.tabular_id)
    }

    async fn scope(
        &self,
        request: &Request,
        target: &MaintenanceScope,
        action: Action,
    ) -> Result<MaintenanceScopeId, ScheduleError> {
        Ok(match target {
            MaintenanceScope::Warehouse(warehouse) => {
                self.catalog.warehouses.authorize(request, warehouse, action)?;
                MaintenanceScopeId::Warehouse(warehouse.id)
            }
            MaintenanceScope::Namespace(warehouse, namespace) => {
                let found = self.catalog.namespaces.require(request, warehouse, namespace, action).await?;
                MaintenanceScopeId::Namespace(found.namespace_id)
            }
            MaintenanceScope::Table(warehouse, identifier) => {
                let found = self.catalog.tables.require(request, warehouse, identifier, action).await?;
                MaintenanceScopeId::Table(found.tabular_id)
            }
        })
    }

    async fn extend(
        &self,
        chain: &mut Vec<(String, MaintenancePolicy)>,
        source: &str,
        scope: MaintenanceScopeId,
    ) -> Result<(), ScheduleError> {
        if let Some(row) = policies::find(&self.db, scope).await? {
            let policy = MaintenancePolicy::parse(row.document.as_bytes())
                .map_err(|error| BackendError::Internal(format!("the stored policy of {source}: {error}")))?;
            chain.push((source.to_owned(), policy));
        }
        Ok(())
    }
}

fn missing(target: &MaintenanceScope) -> ScheduleError {
    let name = format!("{} {}", target.kind(), target.name());
    ScheduleError::NoSuchPolicy(name.trim_end().to_owned())
}

fn change(
    action: Action,
    target: &MaintenanceScope,
    scope: MaintenanceScopeId,
    detail: serde_json::Value,
) -> AuditRecord<'_> {
    let warehouse = &target.warehouse().name;
    AuditRecord { action, kind: target.kind(), name: target.name(), id: scope.id(), warehouse, detail }
}
