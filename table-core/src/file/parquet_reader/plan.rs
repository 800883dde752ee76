//! Projection of the columns of one file to the requested columns: matched by field id, at every level
//! (specification, "Column Projection"). It is computed once per file, without I/O; [`super::adapt`] applies
//! it.

use std::collections::{BTreeSet, HashMap};

use arrow_schema::{DataType, FieldRef, Fields, SchemaRef};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::schema::types::SchemaDescriptor;

use super::absent::absent;
use super::adapt::{Adapt, ColumnSource};
use super::constant::Constant;
use super::context::FileContext;
use super::convert::ValueConversion;
use super::file_columns::{self, ColumnShape, FileColumn};
use crate::file::arrow_schema::to_arrow;
use crate::file::error::FileError;
use crate::metadata::reserved;
use crate::metadata::schema::Field;
use crate::metadata::types::{Primitive, StructType, Type};

/// Plan for reading one file.
#[derive(Debug)]
pub(super) struct ReadPlan {
    /// Arrow schema of the rows.
    pub(super) schema: SchemaRef,
    /// Origin of each requested column.
    pub(super) columns: Vec<ColumnOrigin>,
    /// Indexes of the leaf columns that are read, as Parquet numbers them.
    pub(super) leaves: BTreeSet<usize>,
    /// Projection to `leaves`, in the form that the decoder requires.
    pub(super) levels: FieldLevels,
}

/// Origin of the values of a requested column.
#[derive(Debug)]
pub(super) enum ColumnOrigin {
    /// Column of the file, or a constant.
    Column(ColumnSource),
    /// Path of the file (`_file`).
    Path,
    /// Position of the row in the file (`_pos`).
    Position,
    /// `_row_id`: as stored in the file, or else derived from the position of the row.
    RowId(Option<ColumnSource>),
    /// `_last_updated_sequence_number`: as stored in the file, or else that of the commit which added the
    /// file.
    LastUpdated(Option<ColumnSource>),
}

impl ReadPlan {
    /// Plans reading the columns `requested` from a file with this Parquet schema.
    pub(super) fn new(
        schema: &SchemaDescriptor,
        requested: &StructType,
        context: &FileContext,
    ) -> Result<ReadPlan, FileError> {
        let columns = file_columns::read(schema, context.name_mapping.as_ref())?;
        let mut planner = Planner { context, leaves: BTreeSet::new() };
        planner.need_fields(&columns, &requested.fields);
        let arrow = to_arrow(requested)?;
        let origins = planner.origins(&columns, &requested.fields, arrow.fields())?;
        let mask = ProjectionMask::leaves(schema, planner.leaves.iter().copied());
        let hint = file_columns::hint(schema)?;
        let levels =
            parquet_to_arrow_field_levels(schema, mask, hint.as_ref()).map_err(FileError::reading)?;
        Ok(ReadPlan { schema: arrow, columns: origins, leaves: planner.leaves, levels })
    }
}

struct Planner<'a> {
    context: &'a FileContext,
    /// Indexes of the leaf columns that have to be read.
    leaves: BTreeSet<usize>,
}

impl Planner<'_> {
    fn need_fields(&mut self, columns: &[FileColumn], requested: &[Field]) {
        let by_id = by_id(columns);
        for field in requested.iter().filter(|field| !is_unknown(&field.field_type)) {
            if let Some(column) = by_id.get(&field.id).and_then(|place| columns.get(*place)) {
                self.need(column, &field.field_type);
            }
        }
    }

    fn need(&mut self, column: &FileColumn, requested: &Type) {
        match (&column.shape, requested) {
            (ColumnShape::Struct(parts), Type::Struct(fields)) => {
                self.need_fields(parts, &fields.fields);
                if !self.is_needed(column) {
                    // Nulls of the struct itself can be derived from any of its children.
                    self.need_any(column);
                }
            }
            (ColumnShape::List(element), Type::List(list)) => self.need(element, &list.element.field_type),
            (ColumnShape::Map(parts), Type::Map(map)) => {
                self.need(&parts.0, &map.key.field_type);
                self.need(&parts.1, &map.value.field_type);
            }
            (ColumnShape::Leaf(_), Type::Primitive(_)) => {
                self.leaves.insert(column.leaves.start);
            }
            // Mismatches of types are refused later, in `adapt`.
            _ => {}
        }
    }

    /// Selects as few leaf columns of a column as possible.
    fn need_any(&mut self, column: &FileColumn) {
        match &column.shape {
            ColumnShape::Leaf(_) | ColumnShape::Unreadable(_) => {
                self.leaves.insert(column.leaves.start);
            }
            ColumnShape::Struct(parts) => {
                let plain = parts.iter().find(|part| matches!(part.shape, ColumnShape::Leaf(_)));
                if let Some(part) = plain.or(parts.first()) {
                    self.need_any(part);
                }
            }
            ColumnShape::List(element) => self.need_any(element),
            // The decoder reads a map only with both its keys and values.
            ColumnShape::Map(parts) => {
                self.need_any(&parts.0);
                self.need_any(&parts.1);
            }
        }
    }

    fn is_needed(&self, column: &FileColumn) -> bool {
        self.leaves.range(column.leaves.clone()).next().is_some()
    }

    fn origins(
        &self,
        columns: &[FileColumn],
        requested: &[Field],
        targets: &Fields,
    ) -> Result<Vec<ColumnOrigin>, FileError> {
        let level = Level::new(self, columns);
        let is_in_file = |field: &Field| level.by_id.contains_key(&field.id);
        let lineage = |field: &Field, target: &FieldRef| -> Result<Option<ColumnSource>, FileError> {
            is_in_file(field).then(|| self.source(&level, field, target)).transpose()
        };
        let origin = |(field, target): (&Field, &FieldRef)| {
            Ok(match field.id {
                reserved::FILE_PATH => ColumnOrigin::Path,
                reserved::POSITION => ColumnOrigin::Position,
                reserved::ROW_ID => ColumnOrigin::RowId(lineage(field, target)?),
                reserved::LAST_UPDATED_SEQUENCE_NUMBER => ColumnOrigin::LastUpdated(lineage(field, target)?),
                _ => ColumnOrigin::Column(self.source(&level, field, target)?),
            })
        };
        requested.iter().zip(targets).map(origin).collect()
    }

    /// Returns the origin of a requested column at one level of the file's schema.
    fn source(&self, level: &Level<'_>, field: &Field, target: &FieldRef) -> Result<ColumnSource, FileError> {
        let place = level.by_id.get(&field.id).copied();
        match place.and_then(|place| Some((level.columns.get(place)?, level.positions.get(place)?))) {
            // A column of type null has no children, even if the table's column is nested.
            Some((column, _)) if is_null(column) && !field.required => {
                Ok(ColumnSource::Constant(Constant::Null(target.data_type().clone())))
            }
            Some((column, position)) if !is_unknown(&field.field_type) => {
                Ok(ColumnSource::File(*position, self.adapt(column, field, target.data_type())?))
            }
            _ => absent(field, target, &self.context.constants).map(ColumnSource::Constant),
        }
    }

    fn adapt(&self, column: &FileColumn, field: &Field, target: &DataType) -> Result<Adapt, FileError> {
        match (&column.shape, &field.field_type, target) {
            (ColumnShape::Struct(parts), Type::Struct(fields), DataType::Struct(targets)) => {
                let level = Level::new(self, parts);
                let source = |(field, target)| self.source(&level, field, target);
                let sources = fields.fields.iter().zip(targets).map(source).collect::<Result<_, _>>()?;
                Ok(Adapt::Struct(targets.clone(), sources))
            }
            (ColumnShape::List(element), Type::List(list), DataType::List(target)) => {
                let adapt = self.adapt(element, &list.element, target.data_type())?;
                Ok(Adapt::List(target.clone(), Box::new(adapt)))
            }
            (ColumnShape::Map(parts), Type::Map(map), DataType::Map(entries, _)) => match entries.data_type()
            {
                DataType::Struct(targets) if targets.len() == 2 => {
                    let key = self.adapt(&parts.0, &map.key, targets[0].data_type())?;
                    let value = self.adapt(&parts.1, &map.value, targets[1].data_type())?;
                    Ok(Adapt::Map(entries.clone(), Box::new((key, value))))
                }
                _ => Err(mismatch(column, field)),
            },
            (ColumnShape::Leaf(leaf), Type::Primitive(primitive), _) => {
                ValueConversion::find(leaf, primitive).map(Adapt::Leaf).ok_or_else(|| mismatch(column, field))
            }
            _ => Err(mismatch(column, field)),
        }
    }
}

/// Sibling columns of a file.
struct Level<'a> {
    columns: &'a [FileColumn],
    by_id: HashMap<i32, usize>,
    /// Position of each column among those that are read.
    positions: Vec<usize>,
}

impl<'a> Level<'a> {
    fn new(planner: &Planner<'_>, columns: &'a [FileColumn]) -> Level<'a> {
        let mut next = 0;
        let position = |column: &FileColumn| {
            let position = next;
            next += usize::from(planner.is_needed(column));
            position
        };
        Level { columns, by_id: by_id(columns), positions: columns.iter().map(position).collect() }
    }
}

/// Returns the position of each field id. If two columns have the same id, the first one is used.
fn by_id(columns: &[FileColumn]) -> HashMap<i32, usize> {
    let ids = columns.iter().enumerate().rev();
    ids.filter_map(|(place, column)| Some((column.id?, place))).collect()
}

/// Returns `true` if the file declares that the column has no values.
fn is_null(column: &FileColumn) -> bool {
    matches!(&column.shape, ColumnShape::Leaf(leaf) if leaf.data_type == DataType::Null)
}

fn is_unknown(field_type: &Type) -> bool {
    *field_type == Type::Primitive(Primitive::Unknown)
}

fn mismatch(column: &FileColumn, field: &Field) -> FileError {
    let stored = match &column.shape {
        ColumnShape::Leaf(leaf) => leaf.data_type.to_string(),
        ColumnShape::Struct(_) => "a struct".to_owned(),
        ColumnShape::List(_) => "a list".to_owned(),
        ColumnShape::Map(_) => "a map".to_owned(),
        ColumnShape::Unreadable(reason) => format!("an unsupported type ({reason})"),
    };
    let (name, requested) = (&field.name, &field.field_type);
    FileError::unsupported(format!(
        "the file has {stored} in `{name}`, which is of type `{requested}` in the table"
    ))
}
