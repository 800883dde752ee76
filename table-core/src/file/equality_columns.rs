//! Columns that equality deletes compare, for reading them from data files and delete files of any age.
//!
//! An equality delete may compare a column that was dropped since. Such a column retains its definition: its
//! position in structs, the widest type that it was promoted to, and the initial default of files without it.

use crate::metadata::error::MetadataError;
use crate::metadata::schema::{Field, Schema};
use crate::metadata::table::TableMetadata;
use crate::metadata::types::{StructType, Type};

/// Returns the columns with these field ids, with the structs around them but without other columns. Each has
/// its definition in the current schema, or else in the newest schema that has it. An id that is in no schema
/// is omitted, so that reading the column fails.
///
/// # Errors
///
/// Fails with a [`MetadataError`] if a schema cannot be parsed.
pub fn columns(metadata: &TableMetadata, ids: &[i32]) -> Result<StructType, MetadataError> {
    let current = metadata.current_schema()?;
    let mut former: Vec<&Schema> =
        metadata.schemas().iter().filter(|schema| schema.id() != current.id()).collect();
    // Schema ids grow with every new schema; the order in the metadata file is not significant.
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

/// Field, with `true` if the current schema has it.
type Definition<'a> = (&'a Field, bool);

/// Returns the newest definition of a field.
fn newest<'a>(schemas: &[&'a Schema], id: i32) -> Result<Option<Definition<'a>>, MetadataError> {
    for (age, schema) in schemas.iter().enumerate() {
        if let Some(field) = path_to(&schema.columns()?.root, id).and_then(|path| path.last().copied()) {
            return Ok(Some((field, age == 0)));
        }
    }
    Ok(None)
}

/// Returns the field with an id and the structs around it, outermost first. Fields inside lists and maps are
/// not found, because rows cannot be compared by them.
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

/// Inserts a column at its position, with the structs around it reduced to the selected columns.
fn insert(fields: &mut Vec<Field>, path: &[Definition<'_>]) {
    let Some(((field, is_current), inner)) = path.split_first() else { return };
    let place = fields.iter().position(|other| other.id == field.id).unwrap_or_else(|| {
        let empty = Type::Struct(StructType { fields: Vec::new(), other: Vec::new() });
        fields.push(Field {
            // Files that were written after the column was dropped do not have it.
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
