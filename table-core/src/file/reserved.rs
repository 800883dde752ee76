//! The columns that no schema of a table names: what is known of a row besides its values, and the columns of position
//! delete files (specification, "Reserved Field IDs"). Their values come from the reader.

use crate::metadata::schema::Field;
use crate::metadata::types::{Primitive, Type};

/// `_file`: the path of the file a row is in.
pub const FILE_PATH: i32 = i32::MAX - 1;
/// `_pos`: how many rows of the file are before the row.
pub const POSITION: i32 = i32::MAX - 2;
/// `file_path` of position delete files: the file of the deleted row.
pub const DELETE_FILE_PATH: i32 = i32::MAX - 101;
/// `pos` of position delete files: the position of the deleted row.
pub const DELETE_POSITION: i32 = i32::MAX - 102;
/// `_row_id`: what a row is known by for all time, from version 3.
pub const ROW_ID: i32 = i32::MAX - 107;
/// `_last_updated_sequence_number`: the commit that last changed a row, from version 3.
pub const LAST_UPDATED_SEQUENCE_NUMBER: i32 = i32::MAX - 108;

/// `_file`, to be read.
pub fn file_path() -> Field {
    field(FILE_PATH, "_file", Primitive::String, Presence::Required)
}

/// `_pos`, to be read.
pub fn position() -> Field {
    field(POSITION, "_pos", Primitive::Long, Presence::Required)
}

/// `_row_id`, to be read or written.
pub fn row_id() -> Field {
    field(ROW_ID, "_row_id", Primitive::Long, Presence::Optional)
}

/// `_last_updated_sequence_number`, to be read or written.
pub fn last_updated_sequence_number() -> Field {
    let name = "_last_updated_sequence_number";
    field(LAST_UPDATED_SEQUENCE_NUMBER, name, Primitive::Long, Presence::Optional)
}

/// `file_path` of a position delete file.
pub fn delete_file_path() -> Field {
    field(DELETE_FILE_PATH, "file_path", Primitive::String, Presence::Required)
}

/// `pos` of a position delete file.
pub fn delete_position() -> Field {
    field(DELETE_POSITION, "pos", Primitive::Long, Presence::Required)
}

#[derive(Clone, Copy, PartialEq)]
enum Presence {
    Required,
    Optional,
}

fn field(id: i32, name: &str, primitive: Primitive, presence: Presence) -> Field {
    Field {
        id,
        name: name.to_owned(),
        required: presence == Presence::Required,
        field_type: Type::Primitive(primitive),
        doc: None,
        initial_default: None,
        write_default: None,
        other: Vec::new(),
    }
}
