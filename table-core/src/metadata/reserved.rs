//! Reserved columns, which do not appear in a table's schema: metadata columns of rows, and the columns of
//! position delete files (specification, "Reserved Field IDs"). The values of the metadata columns are
//! supplied by the reader.

use super::schema::Field;
use super::types::{Primitive, Type};

/// Field id of `_file`: the path of the file that contains the row.
pub const FILE_PATH: i32 = i32::MAX - 1;
/// Field id of `_pos`: the ordinal position of the row in its file, starting at 0.
pub const POSITION: i32 = i32::MAX - 2;
/// Field id of `file_path` in position delete files: the path of the data file of the deleted row.
pub const DELETE_FILE_PATH: i32 = i32::MAX - 101;
/// Field id of `pos` in position delete files: the position of the deleted row in its data file.
pub const DELETE_POSITION: i32 = i32::MAX - 102;
/// Field id of `_row_id`: the unique id of a row, which never changes; from format version 3 on.
pub const ROW_ID: i32 = i32::MAX - 107;
/// Field id of `_last_updated_sequence_number`: the sequence number of the commit that last changed the row;
/// from format version 3 on.
pub const LAST_UPDATED_SEQUENCE_NUMBER: i32 = i32::MAX - 108;

/// Returns the field `_file`, for reading.
pub fn file_path() -> Field {
    field(FILE_PATH, "_file", Primitive::String, Presence::Required)
}

/// Returns the field `_pos`, for reading.
pub fn position() -> Field {
    field(POSITION, "_pos", Primitive::Long, Presence::Required)
}

/// Returns the field `_row_id`, for reading or writing.
pub fn row_id() -> Field {
    field(ROW_ID, "_row_id", Primitive::Long, Presence::Optional)
}

/// Returns the field `_last_updated_sequence_number`, for reading or writing.
pub fn last_updated_sequence_number() -> Field {
    let name = "_last_updated_sequence_number";
    field(LAST_UPDATED_SEQUENCE_NUMBER, name, Primitive::Long, Presence::Optional)
}

/// Returns the field `file_path` of a position delete file.
pub fn delete_file_path() -> Field {
    field(DELETE_FILE_PATH, "file_path", Primitive::String, Presence::Required)
}

/// Returns the field `pos` of a position delete file.
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
