//! Schemas and partition specs that nothing needs once snapshots are gone, so that a table's metadata does not grow with every
//! change of its columns for ever. As Java's `RemoveSnapshots` with `cleanExpiredMetadata`, but more careful.

use std::collections::{BTreeSet, HashMap};

use crate::metadata::partition::PartitionSpec;
use crate::metadata::schema::{Field, Schema};
use crate::metadata::schema_index::{IndexedField, SchemaIndex};
use crate::metadata::snapshot::Snapshot;
use crate::metadata::table::TableMetadata;
use crate::metadata::types::Type;

/// The schemas that neither the table nor one of the snapshots that `stays` was written with, in the order of the document.
///
/// Java removes all of them. Here one stays if it says what no other one does that stays: files live longer than the snapshots
/// they came with, and old deletes compare columns that only an old schema has, as old partitions come from them. Nor is a
/// column taken for one without nulls because of a schema that forbade them after files had some.
///
/// Those that are not `is_old` stay as well, since a change of columns may be taken back; and the one with the greatest id, so that
/// no id is ever given to another schema.
pub(super) fn schemas(
    metadata: &TableMetadata,
    stays: impl Fn(&Snapshot) -> bool,
    is_old: impl Fn(&Schema) -> bool,
) -> Vec<i32> {
    let mut used: BTreeSet<i32> = metadata
        .snapshots()
        .iter()
        .filter(|snapshot| stays(snapshot))
        .filter_map(Snapshot::schema_id)
        .collect();
    used.insert(metadata.current_schema_id());
    used.extend(metadata.schemas().iter().filter(|schema| !is_old(schema)).map(Schema::id));
    used.extend(metadata.schemas().iter().map(Schema::id).max());
    let (staying, others): (Vec<&Schema>, Vec<&Schema>) =
        metadata.schemas().iter().partition(|schema| used.contains(&schema.id()));
    if others.is_empty() {
        return Vec::new();
    }
    let mut told = Told::default();
    for schema in &staying {
        told.add(schema);
    }
    // Where several say the same, the newest tells the type that columns have by now.
    let lost = Lost::new(metadata, &staying);
    let mut unused: Vec<i32> = others
        .iter()
        .rev()
        .filter(|schema| !told.add(schema) && !lost.is_last_told_by(schema))
        .map(|schema| schema.id())
        .collect();
    unused.reverse();
    unused
}

/// The partition specs that are neither the table's nor in use, in the order of the document.
pub(super) fn specs(metadata: &TableMetadata, in_use: &BTreeSet<i32>) -> Vec<i32> {
    let ids = metadata.partition_specs().iter().map(PartitionSpec::id);
    ids.filter(|id| *id != metadata.default_spec_id() && !in_use.contains(id)).collect()
}

/// The fields of schemas by id, each as the newest schema has it, with that schema's id.
type Definitions<'a> = HashMap<i32, (i32, &'a Field)>;

/// The fields that the current schema does not have any more. What they meant in the end is what counts for deletes that compare
/// them; an older schema that stays may tell a narrower type, or another default.
struct Lost<'a> {
    all: Definitions<'a>,
    staying: Definitions<'a>,
    current: Definitions<'a>,
}

impl<'a> Lost<'a> {
    fn new(metadata: &'a TableMetadata, staying: &[&'a Schema]) -> Lost<'a> {
        Lost {
            all: newest(metadata.schemas()),
            staying: newest(staying.iter().copied()),
            current: newest(
                staying.iter().copied().filter(|schema| schema.id() == metadata.current_schema_id()),
            ),
        }
    }

    /// Whether a schema is the last that has some lost field, and those that stay say something else of it.
    fn is_last_told_by(&self, schema: &Schema) -> bool {
        self.all.iter().any(|(id, (last, field))| {
            let other = self.staying.get(id).filter(|_| !self.current.contains_key(id));
            *last == schema.id() && other.is_some_and(|(_, other)| !means_the_same(field, other))
        })
    }
}

fn newest<'a>(schemas: impl IntoIterator<Item = &'a Schema>) -> Definitions<'a> {
    let mut newest = Definitions::new();
    for schema in schemas {
        let Ok(index) = schema.columns().and_then(SchemaIndex::new) else { continue };
        for field in index.iter() {
            let (last, known) = newest.entry(field.field.id).or_insert((schema.id(), field.field));
            if *last < schema.id() {
                (*last, *known) = (schema.id(), field.field);
            }
        }
    }
    newest
}

fn means_the_same(one: &Field, other: &Field) -> bool {
    let is_of_one_type = match (&one.field_type, &other.field_type) {
        (Type::Primitive(one), Type::Primitive(other)) => one == other,
        // Parts are fields of their own.
        _ => true,
    };
    is_of_one_type && one.initial_default == other.initial_default
}

/// What is known from some schemas: their fields, and whether one of them lets a field be null.
#[derive(Default)]
struct Told {
    is_nullable: HashMap<i32, bool>,
}

impl Told {
    /// Adds a schema; `false` if it says nothing new. Of one that cannot be read nobody knows.
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

/// Whether a field can be null, or something around it.
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
