//! Index of the fields of a schema by id and by name, for validation.

use std::collections::HashMap;

use super::error::MetadataError;
use super::schema::{Columns, Field};
use super::types::{Primitive, StructType, Type};

/// Maximum length of all full names together, in bytes. A nested field repeats the names of its parents, so
/// that a short request could otherwise demand terabytes; real schemas stay under one megabyte.
const NAME_BYTES_MAX: usize = 16 << 20;

/// Index of all fields of a schema, nested ones included.
#[derive(Debug)]
pub(crate) struct SchemaIndex<'a> {
    by_id: HashMap<i32, IndexedField<'a>>,
    by_name: HashMap<String, i32>,
    /// Fields by their short names, where these differ: without `element` and `value` before the fields of a
    /// struct.
    by_short_name: HashMap<String, i32>,
    name_bytes: usize,
    /// Field ids in the order of the document, parents first.
    pub(crate) order: Vec<i32>,
}

/// Field with its position in the schema.
#[derive(Debug)]
pub(crate) struct IndexedField<'a> {
    pub(crate) field: &'a Field,
    /// Names from the root, joined with dots.
    pub(crate) full_name: String,
    /// Full name without the enclosing lists and maps, if it differs: `a.x` for `a.element.x`.
    short_name: Option<String>,
    /// Id of the enclosing field; `None` at the top level.
    pub(crate) parent: Option<i32>,
}

impl<'a> SchemaIndex<'a> {
    /// Indexes a schema. Fails if an id or a name occurs twice, or if the names are too long in total.
    pub(crate) fn new(columns: &'a Columns) -> Result<SchemaIndex<'a>, MetadataError> {
        let mut index = SchemaIndex {
            by_id: HashMap::new(),
            by_name: HashMap::new(),
            by_short_name: HashMap::new(),
            name_bytes: 0,
            order: Vec::new(),
        };
        index.add_struct(&columns.root, None)?;
        Ok(index)
    }

    pub(crate) fn get(&self, id: i32) -> Option<&IndexedField<'a>> {
        self.by_id.get(&id)
    }

    pub(crate) fn id_of(&self, full_name: &str) -> Option<i32> {
        self.by_name.get(full_name).copied()
    }

    /// Returns the id of the field that readers find under a name: a full name, or one without the enclosing
    /// lists and maps.
    pub(crate) fn find(&self, name: &str) -> Option<i32> {
        self.id_of(name).or_else(|| self.by_short_name.get(name).copied())
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
        let short_name = self.short_name(field, parent).filter(|short| *short != full_name);
        let short_bytes = short_name.as_ref().map_or(0, String::len);
        self.name_bytes = self.name_bytes.saturating_add(full_name.len() + short_bytes);
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
        if let Some(short_name) = &short_name {
            self.by_short_name.insert(short_name.clone(), field.id);
        }
        self.by_id.insert(field.id, IndexedField { field, full_name, short_name, parent });
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

impl SchemaIndex<'_> {
    fn short_name(&self, field: &Field, parent: Option<i32>) -> Option<String> {
        let mut around = parent.and_then(|parent| self.by_id.get(&parent))?;
        // A struct directly in a list or map adds no name of its own.
        while matches!(around.field.field_type, Type::Struct(_)) && self.is_element_or_value(around) {
            match around.parent.and_then(|parent| self.by_id.get(&parent)) {
                Some(next) => around = next,
                None => break,
            }
        }
        let prefix = around.short_name.as_ref().unwrap_or(&around.full_name);
        Some(format!("{prefix}.{}", field.name))
    }

    fn is_element_or_value(&self, field: &IndexedField<'_>) -> bool {
        let around = field.parent.and_then(|parent| self.by_id.get(&parent));
        around.is_some_and(|around| match &around.field.field_type {
            Type::List(_) => true,
            Type::Map(map) => map.value.id == field.field.id,
            _ => false,
        })
    }
}

impl IndexedField<'_> {
    /// Returns the type if it is a primitive one.
    pub(crate) fn primitive(&self) -> Option<&Primitive> {
        match &self.field.field_type {
            Type::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    }
}
