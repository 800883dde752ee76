//! Name mappings, which assign field ids to the columns of files without field ids (specification, "Name
//! Mapping Serialization"). Applied in [`super::file_columns`].

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::metadata::error::MetadataError;
use crate::metadata::json::{Fields, decode};
use crate::metadata::types::TYPE_DEPTH_MAX;

/// Table property with the name mapping, as JSON.
pub const NAME_MAPPING: &str = "schema.name-mapping.default";

/// Field ids by name, for the columns of a table or the children of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameMapping {
    by_name: HashMap<String, usize>,
    fields: Vec<MappedField>,
}

/// Entry of a name mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedField {
    /// Field id (`field-id`); `None` for names that are mapped to no column.
    pub id: Option<i32>,
    /// Mapping of the children (`fields`). Those of a list are named `element`, those of a map `key` and
    /// `value`.
    pub parts: NameMapping,
}

impl NameMapping {
    /// Parses the JSON of a name mapping.
    ///
    /// # Errors
    ///
    /// Fails with [`MetadataError::Malformed`] if the text is not a name mapping, if a name is mapped to two
    /// columns, or if it nests too deeply.
    pub fn parse(text: &str) -> Result<NameMapping, MetadataError> {
        NameMapping::read(text, 0)
    }

    /// Returns the entry with this name.
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
                    let message = format!("the name mapping maps `{name}` to two columns");
                    return Err(MetadataError::malformed(message));
                }
            }
            mapping.fields.push(field);
        }
        Ok(mapping)
    }
}
