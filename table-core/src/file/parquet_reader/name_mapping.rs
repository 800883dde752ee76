//! Name mappings: which column a name in a file stands for, when the file has no field ids (specification, "Name Mapping
//! Serialization"). Applied in [`super::file_columns`].

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::metadata::error::MetadataError;
use crate::metadata::json::{Fields, decode};
use crate::metadata::types::TYPE_DEPTH_MAX;

/// The property of a table that holds its name mapping.
pub const NAME_MAPPING: &str = "schema.name-mapping.default";

/// The names of some columns, of a table or of one of its structs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameMapping {
    by_name: HashMap<String, usize>,
    fields: Vec<MappedField>,
}

/// A column that has names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedField {
    /// Its field id; `None` for names that stand for no column.
    pub id: Option<i32>,
    /// The names of its parts. Those of a list are `element`, of a map `key` and `value`.
    pub parts: NameMapping,
}

impl NameMapping {
    /// Reads the JSON of a mapping. A name that stands for two columns is refused.
    pub fn parse(text: &str) -> Result<NameMapping, MetadataError> {
        NameMapping::read(text, 0)
    }

    /// The column that a name stands for.
    pub fn find(&self, name: &str) -> Option<&MappedField> {
        self.fields.get(*self.by_name.get(name)?)
    }

    fn read(text: &str, depth: usize) -> Result<NameMapping, MetadataError> {
        if depth > TYPE_DEPTH_MAX {
            let message = format!("the name mapping nests deeper than {TYPE_DEPTH_MAX} levels");
            return Err(MetadataError::malformed(message));
        }
        let mut mapping = NameMapping::default();
        for element in decode::<Vec<&RawValue>>(text, "name mapping")? {
            let fields = Fields::parse(element.get(), "field of the name mapping")?;
            let parts = fields.present("fields").map(|parts| NameMapping::read(parts.get(), depth + 1));
            let field = MappedField {
                id: fields.optional("field-id")?,
                parts: parts.transpose()?.unwrap_or_default(),
            };
            for name in fields.required::<Vec<String>>("names")? {
                if let Some(other) = mapping.by_name.insert(name.clone(), mapping.fields.len())
                    && other != mapping.fields.len()
                {
                    let message = format!("the name mapping has `{name}` for two columns");
                    return Err(MetadataError::malformed(message));
                }
            }
            mapping.fields.push(field);
        }
        Ok(mapping)
    }
}
