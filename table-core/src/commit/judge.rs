//! Judgements on schemas, partition specs and sort orders, shared by changes and creation.

use std::collections::HashSet;

use crate::metadata::partition::{PartitionSpec, nth_id};
use crate::metadata::schema::Columns;
use crate::metadata::schema_index::{IndexedField, SchemaIndex};
use crate::metadata::sort::SortOrder;
use crate::metadata::transform::Transform;
use crate::metadata::types::{Primitive, Type};

use super::CommitError;

/// The first format version in which a column can have an initial default.
const VERSION_OF_DEFAULTS: i32 = 3;

/// What to do about transforms and types we cannot judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are new, and nobody can say whether they are right.
    Refused,
    /// The table has them already.
    Carried,
}

/// Checks a new schema. `is_carried` says whether an unknown type is one the table already has, so that the
/// schema only carries it on.
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
            "the column `{name}` has the type `{field_type}`, which this server does not know"
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

fn check_identifier(index: &SchemaIndex<'_>, id: i32) -> Result<(), CommitError> {
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
        // What is left of a dropped column in version 1.
        if field.transform != Transform::Void {
            let what = format!("partition field: {}", field.name);
            check_source(&what, &field.source_ids, &field.transform, index, unknown)?;
        }
    }
    Ok(())
}

/// Checks the names and ids of a new partition spec.
pub(crate) fn check_new_spec(
    spec: &PartitionSpec,
    index: &SchemaIndex<'_>,
    format_version: i32,
) -> Result<(), CommitError> {
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    for (position, field) in spec.fields().iter().enumerate() {
        let name = &field.name;
        if name.is_empty() {
            return Err(CommitError::invalid("a partition field has an empty name"));
        }
        if !names.insert(name) {
            return Err(CommitError::invalid(format!(
                "two partition fields are named `{name}`; rename one of them"
            )));
        }
        // A void field has no values to confuse with those of a column; version 1 keeps them for dropped columns.
        let is_void = field.transform == Transform::Void;
        if !is_void && index.id_of(name).is_some_and(|column| !field.source_ids.contains(&column)) {
            return Err(CommitError::invalid(format!(
                "the partition field `{name}` has the name of a column it is not made from; rename it"
            )));
        }
        if field.field_id.is_some_and(|id| !ids.insert(id)) {
            return Err(CommitError::invalid(format!(
                "the partition field `{name}` has an id that is used twice"
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

/// Checks that a sort order can be used with a schema.
pub(crate) fn check_order(
    order: &SortOrder,
    index: &SchemaIndex<'_>,
    unknown: Unknown,
) -> Result<(), CommitError> {
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
        check_source("sort field", &field.source_ids, &field.transform, index, unknown)?;
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
                "{what}: this server cannot judge {transform} on `{name}`"
            )));
        }
    }
    match source_ids {
        [_] => Ok(()),
        [_, _, ..] if unknown == Unknown::Carried => Ok(()),
        [] => Err(CommitError::invalid(format!("{what}: there is no source column"))),
        _ => Err(CommitError::Unsupported(format!(
            "{what}: this server cannot judge {transform} on several columns"
        ))),
    }
}
