//! Validation of schemas, partition specs and sort orders, shared by commits, table creation and
//! registration.

use std::collections::{HashMap, HashSet};

use crate::metadata::partition::{PartitionField, PartitionSpec, nth_id};
use crate::metadata::schema::Columns;
use crate::metadata::schema_index::{IndexedField, SchemaIndex};
use crate::metadata::sort::SortOrder;
use crate::metadata::transform::Transform;
use crate::metadata::types::{Primitive, Type};

use super::error::CommitError;

/// First format version in which a column can have an initial default.
const VERSION_OF_DEFAULTS: i32 = 3;

/// Policy for transforms and types that are unknown and therefore cannot be validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are new in this commit: refuse them, because their correctness cannot be checked.
    Refused,
    /// The table has them already: accept them.
    Carried,
}

/// Validates a new schema. `is_carried` returns `true` if an unknown type is one that the table already has,
/// so that the schema only preserves it.
pub(crate) fn check_schema(
    columns: &Columns,
    index: &SchemaIndex<'_>,
    format_version: i32,
    is_carried: impl Fn(&IndexedField<'_>) -> bool,
) -> Result<(), CommitError> {
    for field in index.iter() {
        check_field(field, format_version, &is_carried)?;
    }
    columns.identifier_field_ids.iter().try_for_each(|id| check_identifier(index, *id))
}

fn check_field(
    field: &IndexedField<'_>,
    format_version: i32,
    is_carried: &impl Fn(&IndexedField<'_>) -> bool,
) -> Result<(), CommitError> {
    let (name, field_type) = (&field.full_name, &field.field.field_type);
    let unknown = match field_type {
        Type::Primitive(primitive) => match primitive.since() {
            Some(since) if format_version < since => {
                return Err(CommitError::invalid(format!(
                    "Invalid type for `{name}`: {primitive} is not supported until v{since}; the table is v{format_version}"
                )));
            }
            Some(_) => false,
            None => true,
        },
        Type::Other(_) => true,
        Type::Struct(_) | Type::List(_) | Type::Map(_) => false,
    };
    if unknown && !is_carried(field) {
        return Err(CommitError::Unsupported(format!(
            "the column `{name}` has the type `{field_type}`, which this server does not support"
        )));
    }
    if let Some(default) =
        field.field.initial_default.as_ref().filter(|_| format_version < VERSION_OF_DEFAULTS)
    {
        return Err(CommitError::invalid(format!(
            "Invalid initial default for `{name}`: non-null default ({default}) is not supported until \
             v{VERSION_OF_DEFAULTS}; the table is v{format_version}"
        )));
    }
    Ok(())
}

pub(crate) fn check_identifier(index: &SchemaIndex<'_>, id: i32) -> Result<(), CommitError> {
    let Some(field) = index.get(id) else {
        return Err(CommitError::invalid(format!("the identifier field {id} does not exist in the schema")));
    };
    let refuse = |reason: &str| {
        let name = &field.full_name;
        Err(CommitError::invalid(format!("`{name}` cannot be an identifier field: {reason}")))
    };
    match field.primitive() {
        None | Some(Primitive::Variant) => return refuse("it is not of a primitive type"),
        Some(Primitive::Float | Primitive::Double) => return refuse("it is a floating-point number"),
        Some(_) => {}
    }
    if !field.field.required {
        return refuse("it is optional; make it required");
    }
    let mut parent = field.parent.and_then(|parent| index.get(parent));
    while let Some(container) = parent {
        if !matches!(container.field.field_type, Type::Struct(_)) {
            return refuse("it is inside a list or map");
        }
        if !container.field.required {
            return refuse("it is inside an optional struct");
        }
        parent = container.parent.and_then(|parent| index.get(parent));
    }
    Ok(())
}

/// Checks that a partition spec can be used with a schema.
pub(crate) fn check_spec_sources(
    spec: &PartitionSpec,
    index: &SchemaIndex<'_>,
    unknown: Unknown,
) -> Result<(), CommitError> {
    for field in spec.fields() {
        // A `void` field is what remains of a dropped field in format version 1; its source may no longer
        // exist.
        if field.transform != Transform::Void {
            let what = format!("partition field: {}", field.name);
            check_source(&what, &field.source_ids, &field.transform, index, unknown)?;
        }
    }
    Ok(())
}

/// Checks that every field of a partition spec has a unique, non-empty name and a unique id.
pub(crate) fn check_distinct_fields(spec: &PartitionSpec) -> Result<(), CommitError> {
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    for field in spec.fields() {
        let name = &field.name;
        if name.is_empty() {
            return Err(CommitError::invalid("a partition field has an empty name"));
        }
        if !names.insert(name) {
            return Err(CommitError::invalid(format!(
                "two partition fields are named `{name}`; rename one of them"
            )));
        }
        if field.field_id.is_some_and(|id| !ids.insert(id)) {
            return Err(CommitError::invalid(format!(
                "the partition field `{name}` has an id that is used twice"
            )));
        }
    }
    Ok(())
}

/// Validates the names, ids and sources of a new partition spec.
pub(crate) fn check_new_spec(
    spec: &PartitionSpec,
    index: &SchemaIndex<'_>,
    format_version: i32,
) -> Result<(), CommitError> {
    check_distinct_fields(spec)?;
    for (position, field) in spec.fields().iter().enumerate() {
        let name = &field.name;
        if clashes_with_column(field, index) {
            return Err(CommitError::invalid(format!(
                "the partition field `{name}` has the name of a column it is not made from; rename it"
            )));
        }
        if format_version == 1 && field.field_id != Some(nth_id(position)) {
            return Err(CommitError::invalid(format!(
                "the partition field `{name}` must have the id {}: ids are sequential in v1",
                nth_id(position)
            )));
        }
    }
    check_spec_sources(spec, index, Unknown::Refused)
}

/// Checks that no field id of a new partition spec has another meaning in an existing spec of the table,
/// `void` fields aside: the partition type of a table is the union of all its specs, in which an id
/// identifies one field.
pub(crate) fn check_field_ids<'f>(
    spec: &PartitionSpec,
    known: impl Iterator<Item = &'f PartitionField>,
) -> Result<(), CommitError> {
    let known: HashMap<i32, &PartitionField> = known
        .filter(|field| field.transform != Transform::Void)
        .filter_map(|field| Some((field.field_id?, field)))
        .collect();
    for field in spec.fields().iter().filter(|field| field.transform != Transform::Void) {
        let Some(other) = field.field_id.and_then(|id| known.get(&id)) else { continue };
        if (&field.source_ids, &field.transform) != (&other.source_ids, &other.transform) {
            return Err(CommitError::invalid(format!(
                "the partition field `{}` has the id of `{}`, which is made otherwise; give it an id of its own",
                field.name, other.name
            )));
        }
    }
    Ok(())
}

/// Returns `true` if a partition field has the name of a column that is not its source, while its source
/// exists.
///
/// Java binds every spec of a table, former ones included, to the current schema, and then refuses the table.
fn clashes_with_column(field: &PartitionField, index: &SchemaIndex<'_>) -> bool {
    let has_source = field.source_ids.iter().any(|source| index.get(*source).is_some());
    has_source && index.find(&field.name).is_some_and(|column| !field.source_ids.contains(&column))
}

/// Returns the partition fields that cannot be bound to a schema, as (spec id, field name) with the reason.
///
/// Only conflicts that would make readers fail to load the table count: the source column of a former spec
/// may have been dropped.
pub(crate) fn unusable_fields<'s>(
    specs: &'s [PartitionSpec],
    index: &SchemaIndex<'_>,
) -> Vec<((i32, &'s str), String)> {
    let mut unusable = Vec::new();
    for (spec, field) in specs.iter().flat_map(|spec| spec.fields().iter().map(move |field| (spec, field))) {
        let name = &field.name;
        let place = (spec.id(), name.as_str());
        if clashes_with_column(field, index) {
            let reason = format!(
                "the column `{name}` has the name of a field of the partition spec {} that is not made from it, so that Java clients could not load the table; choose another name",
                spec.id()
            );
            unusable.push((place, reason));
        }
        let sources = field.source_ids.iter().filter_map(|source| index.get(*source));
        for source in sources.filter(|_| !matches!(field.transform, Transform::Void)) {
            let accepted = match source.primitive() {
                Some(primitive) => field.transform.accepts(primitive),
                None => Some(field.transform == Transform::Identity),
            };
            if accepted == Some(false) {
                let reason = format!(
                    "`{}` cannot be of the type {}: the partition spec {} has {} of it",
                    source.full_name,
                    source.field.field_type,
                    spec.id(),
                    field.transform
                );
                unusable.push((place, reason));
            }
        }
    }
    unusable
}

/// Checks that a sort order has the id 0 if, and only if, it has no fields.
pub(crate) fn check_order_id(order: &SortOrder) -> Result<(), CommitError> {
    if order.fields().is_empty() == (order.id() == 0) {
        return Ok(());
    }
    let message = "the sort order id 0 is reserved for the unsorted order, which has no fields";
    Err(CommitError::invalid(message))
}

/// Returns the error for a property whose value is not a whole number although it must be.
pub(crate) fn not_a_number(name: &str, value: &str) -> CommitError {
    CommitError::invalid(format!("the property `{name}` is `{value}`; it must be a whole number"))
}

/// Checks that a sort order can be used with a schema.
pub(crate) fn check_order(
    order: &SortOrder,
    index: &SchemaIndex<'_>,
    unknown: Unknown,
) -> Result<(), CommitError> {
    check_directions(order)?;
    order
        .fields()
        .iter()
        .try_for_each(|field| check_source("sort field", &field.source_ids, &field.transform, index, unknown))
}

/// Checks `direction` and `null-order` of the fields of a sort order. Readers refuse unknown values in every
/// sort order of the table, not only in the default one.
pub(crate) fn check_directions(order: &SortOrder) -> Result<(), CommitError> {
    for field in order.fields() {
        if !matches!(field.direction.as_str(), "asc" | "desc") {
            let message = format!("the sort direction `{}` must be `asc` or `desc`", field.direction);
            return Err(CommitError::invalid(message));
        }
        if !matches!(field.null_order.as_str(), "nulls-first" | "nulls-last") {
            let message =
                format!("the null order `{}` must be `nulls-first` or `nulls-last`", field.null_order);
            return Err(CommitError::invalid(message));
        }
    }
    Ok(())
}

fn check_source(
    what: &str,
    source_ids: &[i32],
    transform: &Transform,
    index: &SchemaIndex<'_>,
    unknown: Unknown,
) -> Result<(), CommitError> {
    for id in source_ids {
        let Some(source) = index.get(*id) else {
            return Err(CommitError::invalid(format!(
                "Cannot find source column for {what}: {transform}({id}); the column {id} is not in the current \
                 schema"
            )));
        };
        let name = &source.full_name;
        let in_list =
            std::iter::successors(source.parent, |id| index.get(*id).and_then(|field| field.parent))
                .filter_map(|id| index.get(id))
                .any(|parent| !matches!(parent.field.field_type, Type::Struct(_)));
        let accepted = match source.primitive() {
            None | Some(Primitive::Variant) => Some(false),
            Some(_) if in_list => Some(false),
            Some(primitive) => transform.accepts(primitive),
        };
        if accepted == Some(false) {
            let source_type = &source.field.field_type;
            let message =
                format!("{what}: cannot use {transform} on `{name}`, which is of the type {source_type}");
            return Err(CommitError::invalid(message));
        }
        if accepted.is_none() && unknown == Unknown::Refused {
            return Err(CommitError::Unsupported(format!(
                "{what}: this server cannot validate {transform} on `{name}`"
            )));
        }
    }
    match source_ids {
        [_] => Ok(()),
        [_, _, ..] if unknown == Unknown::Carried => Ok(()),
        [] => Err(CommitError::invalid(format!("{what}: the source column is missing"))),
        _ => Err(CommitError::Unsupported(format!(
            "{what}: this server cannot validate {transform} on several columns"
        ))),
    }
}
