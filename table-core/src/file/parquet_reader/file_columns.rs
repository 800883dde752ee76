//! Columns of a Parquet file with the field id that each is matched by. How they are read is decided in
//! [`super::plan`].
//!
//! The ids are those in the file. A file without any ids gets them from the table's name mapping; without a
//! name mapping, from the order of its top-level columns, as Java does for files that were written before
//! there were field ids.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, FieldRef, Fields, TimeUnit};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::Type as Physical;
use parquet::schema::types::SchemaDescriptor;

use super::name_mapping::NameMapping;
use crate::file::arrow_schema::field_id;
use crate::file::error::FileError;

/// Column of a file, or a child of one.
#[derive(Debug)]
pub(super) struct FileColumn {
    /// Field id that it is matched by; `None` if it is not a column of the table.
    pub(super) id: Option<i32>,
    pub(super) name: String,
    pub(super) shape: ColumnShape,
    /// Leaf columns that it consists of, by their index in the Parquet schema.
    pub(super) leaves: Range<usize>,
}

#[derive(Debug)]
pub(super) enum ColumnShape {
    Leaf(Leaf),
    Struct(Vec<FileColumn>),
    List(Box<FileColumn>),
    Map(Box<(FileColumn, FileColumn)>),
    /// Column that cannot be read, with the reason.
    Unreadable(String),
}

/// Storage of the values of a leaf column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    /// Arrow type that the decoder produces.
    pub(super) data_type: DataType,
    /// `true` for INT96, nanoseconds of a day and the day, in which Spark and Hive used to write timestamps.
    pub(super) is_int96: bool,
}

/// Returns the columns of a file.
pub(super) fn read(
    schema: &SchemaDescriptor,
    mapping: Option<&NameMapping>,
) -> Result<Vec<FileColumn>, FileError> {
    let arrow = decoded(schema)?;
    let mut next = 0;
    let int96 = |leaf: usize| is_int96(schema, leaf);
    let fields = arrow.iter();
    let mut columns: Vec<FileColumn> = fields.map(|field| column(field, &int96, &mut next)).collect();
    if next != schema.num_columns() {
        return Err(FileError::malformed("the columns of the file cannot be distinguished"));
    }
    if !columns.iter().any(has_id) {
        match mapping {
            Some(mapping) => columns.iter_mut().for_each(|column| assign(column, Some(mapping))),
            None => {
                for (id, column) in (1..).zip(&mut columns) {
                    column.id = Some(id);
                    refuse_parts(column);
                }
            }
        }
    }
    Ok(columns)
}

fn column(field: &FieldRef, is_int96: &impl Fn(usize) -> bool, next: &mut usize) -> FileColumn {
    let start = *next;
    let shape = match field.data_type() {
        DataType::Struct(parts) => {
            ColumnShape::Struct(parts.iter().map(|part| column(part, is_int96, next)).collect())
        }
        DataType::List(element) => ColumnShape::List(Box::new(column(element, is_int96, next))),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(parts) if parts.len() == 2 => {
                let key = column(&parts[0], is_int96, next);
                ColumnShape::Map(Box::new((key, column(&parts[1], is_int96, next))))
            }
            _ => ColumnShape::Unreadable("a map without keys and values".to_owned()),
        },
        data_type => {
            *next += 1;
            ColumnShape::Leaf(Leaf { data_type: data_type.clone(), is_int96: is_int96(start) })
        }
    };
    FileColumn { id: field_id(field), name: field.name().clone(), shape, leaves: start..*next }
}

fn is_int96(schema: &SchemaDescriptor, leaf: usize) -> bool {
    leaf < schema.num_columns() && schema.column(leaf).physical_type() == Physical::INT96
}

fn has_id(column: &FileColumn) -> bool {
    column.id.is_some()
        || match &column.shape {
            ColumnShape::Leaf(_) | ColumnShape::Unreadable(_) => false,
            ColumnShape::Struct(parts) => parts.iter().any(has_id),
            ColumnShape::List(element) => has_id(element),
            ColumnShape::Map(parts) => has_id(&parts.0) || has_id(&parts.1),
        }
}

/// Marks structs without field ids as unreadable, because their children cannot be identified. Java reads
/// them as null, but a rewrite must not replace values by null.
fn refuse_parts(column: &mut FileColumn) {
    match &mut column.shape {
        ColumnShape::Struct(_) => {
            let reason = "its parts have no field ids, and the table has no `schema.name-mapping.default`";
            column.shape = ColumnShape::Unreadable(reason.to_owned());
        }
        ColumnShape::List(element) => refuse_parts(element),
        ColumnShape::Map(parts) => {
            refuse_parts(&mut parts.0);
            refuse_parts(&mut parts.1);
        }
        ColumnShape::Leaf(_) | ColumnShape::Unreadable(_) => {}
    }
}

fn assign(column: &mut FileColumn, mapping: Option<&NameMapping>) {
    let name = column.name.clone();
    assign_as(column, mapping, &name);
}

/// Assigns to a column the id that its name has in the name mapping. The children of lists and maps have
/// fixed names in a mapping, independent of their names in the file.
fn assign_as(column: &mut FileColumn, mapping: Option<&NameMapping>, name: &str) {
    let found = mapping.and_then(|mapping| mapping.find(name));
    column.id = found.and_then(|field| field.id);
    let parts = found.map(|field| &field.parts);
    match &mut column.shape {
        ColumnShape::Leaf(_) | ColumnShape::Unreadable(_) => {}
        ColumnShape::Struct(fields) => fields.iter_mut().for_each(|field| assign(field, parts)),
        ColumnShape::List(element) => assign_as(element, parts, "element"),
        ColumnShape::Map(entry) => {
            assign_as(&mut entry.0, parts, "key");
            assign_as(&mut entry.1, parts, "value");
        }
    }
}

/// Returns the Arrow fields that the decoder produces for a schema: INT96 becomes microseconds, whose range
/// does not end in the year 2262.
fn decoded(schema: &SchemaDescriptor) -> Result<Fields, FileError> {
    let arrow = parquet_to_arrow_schema(schema, None).map_err(FileError::reading)?;
    let mut next = 0;
    let fields = arrow.fields().iter();
    Ok(fields.map(|field| hinted(field, &mut next, &|leaf| is_int96(schema, leaf))).collect())
}

/// Returns the schema hint for the decoder; `None` if it produces [`decoded`] without a hint.
pub(super) fn hint(schema: &SchemaDescriptor) -> Result<Option<Fields>, FileError> {
    let has_int96 = (0..schema.num_columns()).any(|leaf| is_int96(schema, leaf));
    has_int96.then(|| decoded(schema)).transpose()
}

fn hinted(field: &FieldRef, next: &mut usize, is_int96: &impl Fn(usize) -> bool) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(parts) => {
            DataType::Struct(parts.iter().map(|part| hinted(part, next, is_int96)).collect())
        }
        DataType::List(element) => DataType::List(hinted(element, next, is_int96)),
        DataType::Map(entries, sorted) => DataType::Map(hinted(entries, next, is_int96), *sorted),
        other => {
            let leaf = *next;
            *next += 1;
            match other {
                DataType::Timestamp(_, zone) if is_int96(leaf) => {
                    DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
                }
                other => other.clone(),
            }
        }
    };
    Arc::new(ArrowField::clone(field).with_data_type(data_type))
}
