//! The columns that equality deletes compare, as they are read from data files and delete files of every age.
//!
//! A delete may compare a column that the table has lost since. Such a column keeps all that it meant: its place in structs, the
//! widest type it was given, and the initial default that files without it have.

use crate::metadata::error::MetadataError;
use crate::metadata::schema::{Field, Schema};
use crate::metadata::table::TableMetadata;
use crate::metadata::types::{StructType, Type};

/// The columns with these ids alone, with the structs around them. Each is as the current schema has it, or else as the newest
/// schema that had it. A column that no schema has is left out, so that reading it fails.
///
/// Fails if a schema cannot be read.
pub fn columns(metadata: &TableMetadata, ids: &[i32]) -> Result<StructType, MetadataError> {
    let current = metadata.current_schema()?;
    let mut former: Vec<&Schema> =
        metadata.schemas().iter().filter(|schema| schema.id() != current.id()).collect();
    // Ids grow with every schema that is new; the order of the document says nothing.
    former.sort_by_key(|schema| std::cmp::Reverse(schema.id()));
    let schemas: Vec<&Schema> = std::iter::once(current).chain(former).collect();
    let mut selected = StructType { fields: Vec::new(), other: Vec::new() };
    for id in ids {
        for schema in &schemas {
            if let Some(path) = path_to(&schema.columns()?.root, *id) {
                let ids: Vec<i32> = path.iter().map(|field| field.id).collect();
                let newest = ids.iter().map(|id| newest(&schemas, *id)).collect::<Result<Vec<_>, _>>()?;
                insert(&mut selected.fields, &newest.into_iter().flatten().collect::<Vec<_>>());
                break;
            }
        }
    }
    Ok(selected)
}

/// A field, and whether the table has it by now.
type Definition<'a> = (&'a Field, bool);

/// The newest definition of a field.
fn newest<'a>(schemas: &[&'a Schema], id: i32) -> Result<Option<Definition<'a>>, MetadataError> {
    for (age, schema) in schemas.iter().enumerate() {
        if let Some(field) = path_to(&schema.columns()?.root, id).and_then(|path| path.last().copied()) {
            return Ok(Some((field, age == 0)));
        }
    }
    Ok(None)
}

/// The field with an id and the structs around it, outermost first. What is in lists and maps is not found: rows cannot be
/// compared by it.
fn path_to(parts: &StructType, id: i32) -> Option<Vec<&Field>> {
    parts.fields.iter().find_map(|field| {
        if field.id == id {
            return Some(vec![field]);
        }
        let Type::Struct(inner) = &field.field_type else { return None };
        let mut path = path_to(inner, id)?;
        path.insert(0, field);
        Some(path)
    })
}

/// Puts a column where it belongs among others, the structs around it reduced to what is wanted of them.
fn insert(fields: &mut Vec<Field>, path: &[Definition<'_>]) {
    let Some(((field, is_current), inner)) = path.split_first() else { return };
    let place = fields.iter().position(|other| other.id == field.id).unwrap_or_else(|| {
        let empty = Type::Struct(StructType { fields: Vec::new(), other: Vec::new() });
        fields.push(Field {
            // Files that were written since it was lost do not have it.
            required: field.required && *is_current,
            field_type: if inner.is_empty() { field.field_type.clone() } else { empty },
            ..Field::clone(field)
        });
        fields.len() - 1
    });
    if let Some(Type::Struct(parts)) = fields.get_mut(place).map(|field| &mut field.field_type) {
        insert(&mut parts.fields, inner);
    }
}
