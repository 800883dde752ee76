//! Schemas and partition specs that are not needed any more after snapshots have expired. Removing them
//! prevents table metadata from growing with every change of the columns. It corresponds to Java's
//! `RemoveSnapshots` with `cleanExpiredMetadata`, but is more conservative.

use std::collections::{BTreeSet, HashMap};

use crate::metadata::partition::PartitionSpec;
use crate::metadata::schema::{Field, Schema};
use crate::metadata::schema_index::{IndexedField, SchemaIndex};
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;
use crate::metadata::types::Type;

/// Returns the ids of the schemas that can be removed, in the order of table metadata. They are neither
/// current nor those that a remaining snapshot was written with.
///
/// Java removes all of these. Here a schema is retained if it contains information that no other retained
/// schema has: data files live longer than the snapshots that added them, and old deletes compare columns
/// that only an old schema has, just as old partitions are derived from such columns. Likewise, removing
/// schemas must not make a column appear as never nullable because the remaining schemas forbid nulls that
/// earlier files contain.
///
/// Schemas that are not `is_old` are also retained, since a change of columns may be reverted; and so is the
/// one with the greatest id, so that no id is ever reused.
pub(super) fn schemas(
    metadata: &TableMetadata,
    is_retained: impl Fn(&Snapshot) -> bool,
    is_old: impl Fn(&Schema) -> bool,
) -> Vec<i32> {
    let mut used: BTreeSet<i32> = metadata
        .snapshots()
        .iter()
        .filter(|snapshot| is_retained(snapshot))
        .filter_map(Snapshot::schema_id)
        .collect();
    used.insert(metadata.current_schema_id());
    used.extend(metadata.schemas().iter().filter(|schema| !is_old(schema)).map(Schema::id));
    used.extend(metadata.schemas().iter().map(Schema::id).max());
    let (retained, others): (Vec<&Schema>, Vec<&Schema>) =
        metadata.schemas().iter().partition(|schema| used.contains(&schema.id()));
    if others.is_empty() {
        return Vec::new();
    }
    let mut content = SchemaContent::default();
    for schema in &retained {
        content.add(schema);
    }
    // Of several schemas with the same information, the newest is retained, because it has the current types
    // of the columns.
    let dropped = DroppedFields::new(metadata, &retained);
    let mut unused: Vec<i32> = others
        .iter()
        .rev()
        .filter(|schema| !content.add(schema) && !dropped.is_last_defined_by(schema))
        .map(|schema| schema.id())
        .collect();
    unused.reverse();
    unused
}

/// Returns the ids of the partition specs that are neither the default nor in use, in the order of table
/// metadata.
pub(super) fn specs(metadata: &TableMetadata, in_use: &BTreeSet<i32>) -> Vec<i32> {
    let ids = metadata.partition_specs().iter().map(PartitionSpec::id);
    ids.filter(|id| *id != metadata.default_spec_id() && !in_use.contains(id)).collect()
}

/// Fields of schemas by id, each as in the newest schema that has it, with the id of that schema.
type Definitions<'a> = HashMap<i32, (i32, &'a Field)>;

/// Fields that the current schema does not have any more. Deletes that compare them need their last
/// definition; an older schema that is retained may have a narrower type, or another default.
struct DroppedFields<'a> {
    all: Definitions<'a>,
    retained: Definitions<'a>,
    current: Definitions<'a>,
}

impl<'a> DroppedFields<'a> {
    fn new(metadata: &'a TableMetadata, retained: &[&'a Schema]) -> DroppedFields<'a> {
        DroppedFields {
            all: newest(metadata.schemas()),
            retained: newest(retained.iter().copied()),
            current: newest(
                retained.iter().copied().filter(|schema| schema.id() == metadata.current_schema_id()),
            ),
        }
    }

    /// Returns `true` if a schema is the newest with some dropped field, and the retained schemas define the
    /// field differently.
    fn is_last_defined_by(&self, schema: &Schema) -> bool {
        self.all.iter().any(|(id, (last, field))| {
            let other = self.retained.get(id).filter(|_| !self.current.contains_key(id));
            *last == schema.id() && other.is_some_and(|(_, other)| !is_same_definition(field, other))
        })
    }
}

fn newest<'a>(schemas: impl IntoIterator<Item = &'a Schema>) -> Definitions<'a> {
    let mut newest = Definitions::new();
    for schema in schemas {
        let Ok(index) = schema.columns().and_then(SchemaIndex::new) else { continue };
        for field in index.iter() {
            let (last, newest_field) = newest.entry(field.field.id).or_insert((schema.id(), field.field));
            if *last < schema.id() {
                (*last, *newest_field) = (schema.id(), field.field);
            }
        }
    }
    newest
}

fn is_same_definition(one: &Field, other: &Field) -> bool {
    let is_same_type = match (&one.field_type, &other.field_type) {
        (Type::Primitive(one), Type::Primitive(other)) => one == other,
        // Children are fields of their own.
        _ => true,
    };
    is_same_type && one.initial_default == other.initial_default
}

/// Information in a set of schemas: their fields, and whether one of the schemas allows nulls in a field.
#[derive(Default)]
struct SchemaContent {
    is_nullable: HashMap<i32, bool>,
}

impl SchemaContent {
    /// Adds a schema; `false` if it adds no information. A schema that cannot be parsed always counts as new
    /// information.
    fn add(&mut self, schema: &Schema) -> bool {
        let Ok(columns) = schema.columns() else { return true };
        let Ok(index) = SchemaIndex::new(columns) else { return true };
        let mut is_new = false;
        for field in index.iter() {
            let id = field.field.id;
            let before = self.is_nullable.get(&id).copied();
            let now = before == Some(true) || is_nullable(&index, field);
            is_new |= before != Some(now);
            self.is_nullable.insert(id, now);
        }
        is_new
    }
}

/// Returns `true` if a field or a struct around it is optional.
fn is_nullable(index: &SchemaIndex<'_>, field: &IndexedField<'_>) -> bool {
    let mut next = Some(field);
    while let Some(field) = next {
        if !field.field.required {
            return true;
        }
        next = field.parent.and_then(|id| index.get(id));
    }
    false
}
