//! Context of a data file: what is known of it apart from the file itself.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;

use super::name_mapping::NameMapping;
use crate::expr::value::Value;

/// Default number of rows of a batch: enough to amortise the work per batch, and few enough to fit long
/// strings into memory.
pub const BATCH_ROWS: usize = 8192;

/// Properties of a data file that are known from its manifest entry and from the table.
#[derive(Debug, Clone)]
pub struct FileContext {
    /// Path of the file, the value of `_file`.
    pub path: String,
    /// Name mapping of the table, used if the file has no field ids.
    pub name_mapping: Option<NameMapping>,
    /// Values of identity partition fields by the field id of their source column, used for columns that the
    /// file does not contain.
    pub constants: BTreeMap<i32, Option<Value>>,
    /// Row id of the first row (`first_row_id`), from which `_row_id` is derived.
    pub first_row_id: Option<i64>,
    /// Sequence number of the commit that added the rows, the default of `_last_updated_sequence_number`.
    pub sequence_number: Option<i64>,
    /// Positions of deleted rows, which are omitted.
    pub deleted: RoaringTreemap,
    /// Maximum number of rows of a batch.
    pub batch_rows: usize,
}

impl FileContext {
    /// Creates a context that has only a path.
    pub fn new(path: impl Into<String>) -> FileContext {
        FileContext {
            path: path.into(),
            name_mapping: None,
            constants: BTreeMap::new(),
            first_row_id: None,
            sequence_number: None,
            deleted: RoaringTreemap::new(),
            batch_rows: BATCH_ROWS,
        }
    }
}
