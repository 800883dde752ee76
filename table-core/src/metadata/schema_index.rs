//! The fields of a schema by id and by name, for everything that is judged about them.

use std::collections::HashMap;

use super::error::MetadataError;
use super::schema::{Columns, Field};
use super::types::{Primitive, StructType, Type};

/// How long all full names may be together. A nested field repeats the names around it, so that a short request
/// could otherwise ask for terabytes; real schemas stay under one megabyte.
const NAME_BYTES_MAX: usize = 16 << 20;

/// All fields of a schema, nested ones included.
#[derive(Debug)]
pub(crate) struct SchemaIndex<'a> {
    by_id: HashMap<i32, IndexedField<'a>>,
    by_name: HashMap<String, i32>,
    name_bytes: usize,
    /// Field ids in the order of the document, parents first.
    pub(crate) order: Vec<i32>,
}

/// A field and where it is.
#[derive(Debug)]
pub(crate) struct IndexedField<'a> {
    pub(crate) field: &'a Field,
    /// The names from the root, joined with dots.
    pub(crate) full_name: String,
    /// The field it is part of.
    pub(crate) parent: Option<i32>,
}

impl<'a> SchemaIndex<'a> {
    /// Indexes a schema, refusing ids or names that occur twice.
    pub(crate) fn new(columns: &'a Columns) -> Result<SchemaIndex<'a>, MetadataError> {
        let mut index =
            SchemaIndex { by_id: HashMap::new(), by_name: HashMap::new(), name_bytes: 0, order: Vec::new() };
        index.add_struct(&columns.root, None)?;
        Ok(index)
    }

    pub(crate) fn get(&self, id: i32) -> Option<&IndexedField<'a>> {
        self.by_id.get(&id)
    }

    pub(crate) fn id_of(&self, full_name: &str) -> Option<i32> {
        self.by_name.get(full_name).copied()
    }

    pub(crate) fn highest_id(&self) -> i32 {
        self.order.iter().copied().max().unwrap_or(0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &IndexedField<'a>> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }

    fn add_struct(&mut self, parts: &'a StructType, parent: Option<i32>) -> Result<(), MetadataError> {
        parts.fields.iter().try_for_each(|field| self.add(field, parent))
    }

    fn add(&mut self, field: &'a Field, parent: Option<i32>) -> Result<(), MetadataError> {
        let full_name = match parent.and_then(|parent| self.by_id.get(&parent)) {
            Some(parent) => format!("{}.{}", parent.full_name, field.name),
            None => field.name.clone(),
        };
        self.name_bytes = self.name_bytes.saturating_add(full_name.len());
        if self.name_bytes > NAME_BYTES_MAX {
            return Err(MetadataError::inconsistent(
                "the names in the schema are too long; use shorter ones",
            ));
        }
        if self.by_name.insert(full_name.clone(), field.id).is_some() {
            let message = format!("the schema has two fields named `{full_name}`; rename one of them");
            return Err(MetadataError::inconsistent(message));
        }
        if let Some(other) = self.by_id.get(&field.id) {
            return Err(MetadataError::inconsistent(format!(
                "the fields `{}` and `{full_name}` have the same id {}; give every field its own id",
                other.full_name, field.id
            )));
        }
        self.by_id.insert(field.id, IndexedField { field, full_name, parent });
        self.order.push(field.id);
        match &field.field_type {
            Type::Struct(parts) => self.add_struct(parts, Some(field.id)),
            Type::List(list) => self.add(&list.element, Some(field.id)),
            Type::Map(map) => {
                self.add(&map.key, Some(field.id))?;
                self.add(&map.value, Some(field.id))
            }
            Type::Primitive(_) | Type::Other(_) => Ok(()),
        }
    }
}

impl IndexedField<'_> {
    /// The type, if it has no parts.
    pub(crate) fn primitive(&self) -> Option<&Primitive> {
        match &self.field.field_type {
            Type::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    }
}
