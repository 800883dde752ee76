//! Conversion of decoded arrays to arrays of a table's columns: children are matched by field id and put into
//! the table's order, missing ones are filled in, values are converted. The decisions were made in
//! [`super::plan`].

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};

use super::constant::Constant;
use super::convert::ValueConversion;
use crate::file::error::FileError;

/// Origin of the values of a column.
#[derive(Debug)]
pub(super) enum ColumnSource {
    /// Column of the file, by its position among the siblings that are read.
    File(usize, Adapt),
    /// Constant, because the file does not contain the column.
    Constant(Constant),
}

/// Conversion of a decoded array.
#[derive(Debug)]
pub(super) enum Adapt {
    Leaf(ValueConversion),
    Struct(Fields, Vec<ColumnSource>),
    List(FieldRef, Box<Adapt>),
    /// The Arrow field of the entries, and the conversions of keys and values.
    Map(FieldRef, Box<(Adapt, Adapt)>),
}

impl ColumnSource {
    /// Returns the array of the column with `rows` rows; `siblings` are the arrays that were read from the
    /// file.
    pub(super) fn take(&self, siblings: &[ArrayRef], rows: usize) -> Result<ArrayRef, FileError> {
        match self {
            ColumnSource::Constant(constant) => constant.to_array(rows),
            ColumnSource::File(position, adapt) => {
                let array = siblings.get(*position).ok_or_else(|| unexpected("fewer columns"))?;
                adapt.apply(array)
            }
        }
    }
}

impl Adapt {
    fn apply(&self, array: &ArrayRef) -> Result<ArrayRef, FileError> {
        match self {
            Adapt::Leaf(conversion) => conversion.apply(array.clone()),
            Adapt::Struct(fields, sources) => {
                let array = array.as_struct_opt().ok_or_else(|| unexpected("no struct"))?;
                let take = |source: &ColumnSource| source.take(array.columns(), array.len());
                let parts = sources.iter().map(take).collect::<Result<Vec<_>, _>>()?;
                let nulls = array.nulls().cloned();
                into_ref(StructArray::try_new_with_length(fields.clone(), parts, nulls, array.len()))
            }
            Adapt::List(field, element) => {
                let array = array.as_list_opt::<i32>().ok_or_else(|| unexpected("no list"))?;
                let values = element.apply(array.values())?;
                let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
                into_ref(ListArray::try_new(field.clone(), offsets, values, nulls))
            }
            Adapt::Map(entries, parts) => {
                let array = array.as_map_opt().ok_or_else(|| unexpected("no map"))?;
                let columns = vec![parts.0.apply(array.keys())?, parts.1.apply(array.values())?];
                let DataType::Struct(fields) = entries.data_type() else { return Err(unexpected("no map")) };
                let pairs =
                    StructArray::try_new(fields.clone(), columns, None).map_err(|error| misfit(&error))?;
                let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
                into_ref(MapArray::try_new(entries.clone(), offsets, pairs, nulls, false))
            }
        }
    }
}

fn into_ref<A: Array + 'static>(array: Result<A, ArrowError>) -> Result<ArrayRef, FileError> {
    array.map(|array| Arc::new(array) as ArrayRef).map_err(|error| misfit(&error))
}

/// Converts an Arrow error; the most frequent cause is a null in a column that the table requires.
pub(super) fn misfit(error: &ArrowError) -> FileError {
    FileError::malformed(format!("the rows of the file do not fit the table: {error}"))
}

fn unexpected(what: &str) -> FileError {
    FileError::malformed(format!("the decoder returned {what} where its schema has one"))
}
