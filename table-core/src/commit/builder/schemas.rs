//! Updates of schemas, partition specs and sort orders.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use crate::metadata::partition::PartitionSpec;
use crate::metadata::schema::Schema;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::sort::SortOrder;
use crate::metadata::types::Type;

use super::super::error::CommitError;
use super::super::update::LAST_ADDED;
use super::super::validate::{self, Unknown};
use super::Builder;

impl Builder {
    pub(super) fn add_schema(&mut self, schema: &Schema) -> Result<(), CommitError> {
        self.count_added()?;
        let columns = schema.columns().map_err(|error| CommitError::malformed(&error))?;
        for existing in &self.next.schemas {
            // An existing schema that cannot be decoded cannot equal one that was just decoded.
            if existing.columns().is_ok_and(|existing| existing == columns) {
                self.last_added_schema = Some(existing.id());
                return Ok(());
            }
        }

        let index = SchemaIndex::new(columns).map_err(|error| CommitError::invalid_part(&error))?;
        // Most schemas have only known types, so the current schema is searched for unknown ones on first use
        // only.
        let carried = LazyCell::new(|| self.unknown_types());
        validate::check_schema(columns, &index, self.next.format_version, |field| {
            carried.get(&field.field.id).is_some_and(|known| **known == field.field.field_type)
        })?;
        let highest = index.highest_id();
        // An id that was freed by this commit is not reused: its two meanings could not be distinguished.
        let ids = self.next.schemas.iter().map(Schema::id).chain(self.removed_schemas.iter().copied());
        let id = next_id(ids, 0)?;
        let schema = schema.with_id(id)?;
        self.next.last_column_id = self.next.last_column_id.max(highest);
        self.next.schemas.push(schema);
        self.last_added_schema = Some(id);
        Ok(())
    }

    /// Returns the fields of the current schema whose type is unknown, by field id.
    fn unknown_types(&self) -> HashMap<i32, &Type> {
        let current = self.next.current_schema().ok().and_then(|schema| schema.columns().ok());
        let Some(index) = current.and_then(|columns| SchemaIndex::new(columns).ok()) else {
            return HashMap::new();
        };
        let is_unknown = |field_type: &Type| match field_type {
            Type::Primitive(primitive) => primitive.since().is_none(),
            Type::Other(_) => true,
            _ => false,
        };
        let unknown = index.iter().filter(|field| is_unknown(&field.field.field_type));
        unknown.map(|field| (field.field.id, &field.field.field_type)).collect()
    }

    pub(super) fn set_current_schema(&mut self, id: i32) -> Result<(), CommitError> {
        let id = last_added(id, self.last_added_schema, "schema")?;
        if !self.next.schemas.iter().any(|schema| schema.id() == id) {
            self.check_not_cleaned_up("schema", id)?;
            return Err(CommitError::invalid(format!("Cannot set current schema to unknown schema: {id}")));
        }
        self.next.current_schema_id = id;
        Ok(())
    }

    /// Fails with [`CommitError::Stale`] if the table once had a schema or partition spec of this id, but no
    /// longer has it: a clean-up removed it as unused after the change was computed. Ids are assigned in
    /// ascending order, and a clean-up never removes the highest one, so every missing id below it was
    /// removed.
    pub(super) fn check_not_cleaned_up(&self, what: &str, id: i32) -> Result<(), CommitError> {
        let (ids, removed): (Vec<i32>, _) = match what {
            "schema" => (self.next.schemas.iter().map(Schema::id).collect(), &self.removed_schemas),
            _ => (self.next.partition_specs.iter().map(PartitionSpec::id).collect(), &self.removed_specs),
        };
        let is_known = ids.contains(&id) || removed.contains(&id);
        if is_known || id < 0 || ids.into_iter().max().is_none_or(|greatest| id > greatest) {
            return Ok(());
        }
        Err(CommitError::Stale(format!(
            "the {what} {id} was removed from the table, as nothing used it; refresh and commit again"
        )))
    }

    pub(super) fn remove_schemas(&mut self, ids: &[i32]) -> Result<(), CommitError> {
        let ids: HashSet<i32> = ids.iter().copied().collect();
        if ids.contains(&self.next.current_schema_id) {
            return Err(CommitError::invalid("Cannot remove the current schema"));
        }
        self.removed_schemas.extend(self.next.schemas.iter().map(Schema::id).filter(|id| ids.contains(id)));
        self.next.schemas.retain(|schema| !ids.contains(&schema.id()));
        self.last_added_schema = self.last_added_schema.filter(|id| !ids.contains(id));
        Ok(())
    }

    pub(super) fn add_spec(&mut self, spec: &PartitionSpec) -> Result<(), CommitError> {
        self.count_added()?;
        let spec = self.with_field_ids(spec)?;
        if let Some(existing) =
            self.next.partition_specs.iter().find(|existing| existing.is_compatible(&spec))
        {
            self.last_added_spec = Some(existing.id());
            return Ok(());
        }
        self.check_against_current_schema(|index, version| validate::check_new_spec(&spec, index, version))?;
        let known = self.next.partition_specs.iter().flat_map(PartitionSpec::fields);
        validate::check_field_ids(&spec, known)?;
        let ids =
            self.next.partition_specs.iter().map(PartitionSpec::id).chain(self.removed_specs.iter().copied());
        let id = next_id(ids, 0)?;
        let spec = spec.with_ids(id, |position, field| field.id_at(position))?;
        self.next.last_partition_id = self.next.last_partition_id.max(spec.last_field_id());
        self.next.partition_specs.push(spec);
        self.last_added_spec = Some(id);
        Ok(())
    }

    /// Assigns ids to the partition fields that have none: the id of an existing field with the same source
    /// and transform, else a new one. Format version 1 numbers the fields of every spec from the start.
    fn with_field_ids(&self, spec: &PartitionSpec) -> Result<PartitionSpec, CommitError> {
        if spec.fields().iter().all(|field| field.field_id.is_some()) {
            return Ok(spec.clone());
        }
        if self.next.format_version == 1 {
            return spec.numbered().map_err(CommitError::from);
        }
        let mut known = HashMap::new();
        for field in self.next.partition_specs.iter().flat_map(PartitionSpec::fields) {
            if let Some(id) = field.field_id {
                known.insert((field.source_ids.as_slice(), field.transform.to_string()), id);
            }
        }
        let given = spec.fields().iter().filter_map(|field| field.field_id).max().unwrap_or(0);
        let mut last = self.next.last_partition_id.max(given);
        let spec = spec.with_ids(spec.id(), |_, field| {
            let known = known.get(&(field.source_ids.as_slice(), field.transform.to_string())).copied();
            field.field_id.or(known).unwrap_or_else(|| {
                last = last.saturating_add(1);
                last
            })
        })?;
        Ok(spec)
    }

    pub(super) fn set_default_spec(&mut self, id: i32) -> Result<(), CommitError> {
        let id = last_added(id, self.last_added_spec, "partition spec")?;
        if !self.next.partition_specs.iter().any(|spec| spec.id() == id) {
            self.check_not_cleaned_up("partition spec", id)?;
            return Err(CommitError::invalid(format!(
                "Cannot set default partition spec to unknown spec: {id}"
            )));
        }
        self.next.default_spec_id = id;
        Ok(())
    }

    pub(super) fn remove_specs(&mut self, ids: &[i32]) -> Result<(), CommitError> {
        let ids: HashSet<i32> = ids.iter().copied().collect();
        if ids.contains(&self.next.default_spec_id) {
            return Err(CommitError::invalid("Cannot remove the default partition spec"));
        }
        let removed = self.next.partition_specs.iter().map(PartitionSpec::id).filter(|id| ids.contains(id));
        self.removed_specs.extend(removed);
        self.next.partition_specs.retain(|spec| !ids.contains(&spec.id()));
        self.last_added_spec = self.last_added_spec.filter(|id| !ids.contains(id));
        Ok(())
    }

    pub(super) fn add_sort_order(&mut self, order: &SortOrder) -> Result<(), CommitError> {
        self.count_added()?;
        validate::check_order_id(order)?;
        if let Some(existing) = self.next.sort_orders.iter().find(|existing| existing.is_same(order)) {
            self.last_added_order = Some(existing.id());
            return Ok(());
        }
        self.check_against_current_schema(|index, _| validate::check_order(order, index, Unknown::Refused))?;
        let id = match order.fields() {
            [] => 0,
            _ => next_id(self.next.sort_orders.iter().map(SortOrder::id), 1)?,
        };
        self.next.sort_orders.push(order.with_id(id)?);
        self.last_added_order = Some(id);
        Ok(())
    }

    pub(super) fn set_default_sort_order(&mut self, id: i32) -> Result<(), CommitError> {
        let id = last_added(id, self.last_added_order, "sort order")?;
        if !self.next.sort_orders.iter().any(|order| order.id() == id) {
            return Err(CommitError::invalid(format!(
                "Cannot set default sort order to unknown order: {id}"
            )));
        }
        self.next.default_sort_order_id = id;
        Ok(())
    }

    pub(super) fn check_against_current_schema(
        &self,
        check: impl FnOnce(&SchemaIndex<'_>, i32) -> Result<(), CommitError>,
    ) -> Result<(), CommitError> {
        if self.next.schemas.is_empty() {
            return Err(CommitError::invalid("add a schema before partition specs and sort orders"));
        }
        let index = SchemaIndex::new(self.next.current_schema()?.columns()?)?;
        check(&index, self.next.format_version)
    }
}

fn last_added(id: i32, last_added: Option<i32>, what: &str) -> Result<i32, CommitError> {
    if id != LAST_ADDED {
        return Ok(id);
    }
    last_added.ok_or_else(|| {
        CommitError::invalid(format!("Cannot set last added {what}: no {what} has been added"))
    })
}

/// Returns one more than the highest id in use, or `first` if there is none.
fn next_id(ids: impl Iterator<Item = i32>, first: i32) -> Result<i32, CommitError> {
    let next = ids.max().map_or(Some(first), |highest| highest.checked_add(1));
    next.map(|next| next.max(first)).ok_or_else(|| CommitError::invalid("all ids are used up"))
}
