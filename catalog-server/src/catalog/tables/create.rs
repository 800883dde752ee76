//! Creation of tables: at once, staged for a later commit, or by a commit.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use table_core::commit::create::{CreateTable, create};
use table_core::commit::requirement::check_requirements;
use table_core::commit::update::TableUpdate;
use table_core::metadata::file_name;
use table_core::metadata::table::TableMetadata;
use table_core::snapshot::superseded::Superseded;

use crate::authz::action::Action;
use crate::catalog::locations::ownership::Folders;
use crate::catalog::mutations::MutationResponse;
use crate::catalog::mutations::idempotency::{IdempotentResult, conclude};
use crate::catalog::names::Identifier;
use crate::catalog::namespaces::properties::base_location;
use crate::catalog::tabulars::error::TabularError;
use crate::catalog::warehouses::warehouse::Warehouse;
use crate::id;
use crate::request::Request;
use crate::storage::create_table_folders;
use crate::storage::documents::Document;
use crate::store::catalog::tabular::TabularKind;
use crate::store::ids::{NamespaceId, TabularId};

use super::change::TableChange;
use super::prepared::{CommitSource, NewMetadata, PreparedCommit, explain, require_uuid};
use super::{Tables, prepare};

/// Definition of a new table, as sent by a client.
pub struct NewTable {
    /// Base location of the table, an absolute URI; chosen by the server if `None`.
    pub location: Option<String>,
    /// Schema as JSON.
    pub schema: Box<RawValue>,
    /// Partition spec as JSON; unpartitioned if `None`.
    pub partition_spec: Option<Box<RawValue>>,
    /// Sort order as JSON; unsorted if `None`.
    pub write_order: Option<Box<RawValue>>,
    /// Table properties, in the order of the request.
    pub properties: Vec<(String, String)>,
    /// Size of the request body, in bytes.
    pub size_bytes: usize,
}

impl Tables {
    /// Creates a table.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view ([`TabularError::Forbidden`]); if the namespace does not
    /// exist or the caller may not create tables in it ([`TabularError::Namespace`]); if the name is in use
    /// ([`TabularError::NameTaken`]); if the definition is invalid ([`TabularError::Commit`],
    /// [`TabularError::Invalid`]); if the location, that of the namespace or a `write.*.path` is outside of
    /// the warehouse or belongs to another table or view ([`TabularError::Ownership`],
    /// [`TabularError::Namespace`]); if a concurrent transaction was faster ([`TabularError::CommitFailed`]);
    /// if the lease of the maintenance job was lost ([`TabularError::JobLost`]); if a response was recorded
    /// under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the file system or the
    /// database fails ([`TabularError::Backend`]).
    pub async fn create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
    ) -> Result<MutationResponse, TabularError> {
        let size_bytes = new.size_bytes;
        let (namespace_id, metadata) =
            self.define(request, warehouse, identifier, new, Action::CreateTable).await?;
        let next = match self.prepare_first(warehouse, identifier, metadata, size_bytes, &[]).await {
            Ok(next) => next,
            Err(error) => {
                let kind = TabularKind::Table;
                return Err(self.tabulars.unless_name_taken(warehouse, identifier, kind, error).await);
            }
        };
        let tabular_id = TabularId(id::ordered());
        let prepared = vec![PreparedCommit::Create { tabular_id, namespace_id, next }];
        let committed = match self.write_files(&prepared).await {
            Ok(()) => {
                let pointers = prepared.iter().filter_map(PreparedCommit::pointer).collect();
                let result = CommitSource::Table.result(&prepared);
                self.tabulars.commit(request, warehouse, pointers, result).await
            }
            Err(error) => Err(error),
        };
        match self.finish(prepared, committed).await {
            Ok(mut documents) => {
                Ok(documents.pop().map_or(MutationResponse::Nothing, MutationResponse::Table))
            }
            // A creation has no base version that could be outdated: if it loses against another transaction,
            // the client receives the result of that one when it retries.
            Err(error) if error.is_lost_race() => Err(TabularError::CommitFailed(
                "Commit failed: another transaction was faster; try again".to_owned(),
            )),
            Err(error) => Err(error),
        }
    }

    /// Stages a table: returns the metadata of a table that a later commit creates. Nothing is stored except
    /// the response, if the request has an idempotency key. `respond` serialises the response.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse is a read-only view ([`TabularError::Forbidden`]); if the namespace does not
    /// exist or the caller may not stage tables in it ([`TabularError::Namespace`]); if the name is in use
    /// ([`TabularError::NameTaken`]); if the definition is invalid ([`TabularError::Commit`]); if the
    /// location, that of the namespace or a `write.*.path` is outside of the warehouse or belongs to another
    /// table or view ([`TabularError::Ownership`], [`TabularError::Namespace`]); if a response was recorded
    /// under its idempotency key meanwhile ([`TabularError::Mutation`]); or if the file system or the
    /// database fails ([`TabularError::Backend`]).
    pub async fn stage(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
        respond: fn(&TableMetadata) -> Bytes,
    ) -> Result<MutationResponse, TabularError> {
        let size_bytes = new.size_bytes;
        let (_, metadata) = self.define(request, warehouse, identifier, new, Action::StageTable).await?;
        let folders = Folders::by_table(warehouse, &metadata)?;
        if let Err(error) = self.locations.check_free(warehouse, None, &folders).await {
            let kind = TabularKind::Table;
            return Err(self.tabulars.unless_name_taken(warehouse, identifier, kind, error.into()).await);
        }
        create_table_folders(&self.files.own(&folders), metadata.location()).await?;
        let body = self.turns.run(size_bytes, move || respond(&metadata)).await;
        if request.idempotency.is_some() {
            let tx = self.db.write(self.clock.now_ms()).await?;
            conclude(tx, request, IdempotentResult::Body(&body)).await?;
        }
        Ok(MutationResponse::Body(body))
    }

    /// Validates a request to create a table and computes its metadata.
    async fn define(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        identifier: &Identifier,
        new: NewTable,
        action: Action,
    ) -> Result<(NamespaceId, TableMetadata), TabularError> {
        warehouse.require_writable()?;
        let namespace = self
            .tabulars
            .require_free_name(request, warehouse, identifier, (TabularKind::Table, action))
            .await?;
        let location = match new.location {
            Some(location) => location,
            None => base_location(warehouse, &namespace, identifier)?,
        };
        let (uuid, now_ms) = (id::random(), self.clock.now_ms());
        let metadata = self.turns.run(new.size_bytes, move || {
            let request = CreateTable {
                schema: &new.schema,
                partition_spec: new.partition_spec.as_deref(),
                write_order: new.write_order.as_deref(),
                location,
                properties: new.properties,
            };
            create(&request, uuid, now_ms)
        });
        Ok((namespace.namespace_id, metadata.await?))
    }

    /// Computes the metadata of the table that a commit creates.
    pub(super) async fn prepare_create(
        &self,
        request: &Request,
        warehouse: &Warehouse,
        change: &TableChange,
    ) -> Result<PreparedCommit, TabularError> {
        let (identifier, commit) = (&change.identifier, &change.commit);
        if !change.creates() {
            return Err(TabularError::NoSuchTable(identifier.clone()));
        }
        check_requirements(None, &commit.requirements)?;
        let action = Action::CreateTable;
        let namespace = self.namespaces.require(request, warehouse, &identifier.namespace, action).await?;
        let location = if prepare::sets_location(commit) {
            None
        } else {
            Some(base_location(warehouse, &namespace, identifier)?)
        };
        let (updates, uuid, now_ms) = (commit.clone(), id::random(), self.clock.now_ms());
        let build = move || prepare::build(&updates, location, uuid, now_ms);
        let metadata = self.turns.run(commit.size_bytes, build).await?;
        let next =
            self.prepare_first(warehouse, identifier, metadata, commit.size_bytes, &commit.updates).await;
        let next = match next {
            Ok(next) => next,
            Err(error) => {
                let kind = TabularKind::Table;
                let error = self.tabulars.unless_name_taken(warehouse, identifier, kind, error).await;
                return Err(explain(error));
            }
        };
        let (tabular_id, namespace_id) = (TabularId(id::ordered()), namespace.namespace_id);
        Ok(PreparedCommit::Create { tabular_id, namespace_id, next })
    }

    /// Prepares the first metadata file of a new table, whose snapshots come from `updates`.
    async fn prepare_first(
        &self,
        warehouse: &Warehouse,
        identifier: &Identifier,
        metadata: TableMetadata,
        size_bytes: usize,
        updates: &[TableUpdate],
    ) -> Result<NewMetadata, TabularError> {
        prepare::check_planning_mode(None, &metadata)?;
        let folders = Folders::by_table(warehouse, &metadata)?;
        self.locations.check_free(warehouse, None, &folders).await?;
        self.check_new_snapshots(warehouse, None, &folders, updates).await?;
        let location = file_name::first_location(metadata.location(), metadata.properties(), id::random());
        let table_uuid = require_uuid(&location, &metadata)?;
        let metadata = Arc::new(metadata);
        let parsed = metadata.clone();
        let create = move || Document::new_unwritten(&location, &parsed.to_bytes(), parsed.clone());
        // Not limited in size, unlike in `former::kept`, because it is recorded once per table.
        let superseded = Some(Superseded::by_creation(&metadata, self.clock.now_ms()).to_json());
        Ok(NewMetadata {
            identifier: identifier.clone(),
            document: self.turns.run(size_bytes, create).await,
            metadata,
            table_uuid,
            superseded,
            folders,
            claims: true,
        })
    }
}
