//! From an array as the decoder gives it to an array of a table's column: parts by field id in the table's order, missing
//! ones filled in, values converted. What goes where was decided in [`super::plan`].

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};

use super::constant::Constant;
use super::convert::Conversion;
use crate::file::error::FileError;

/// Where the values of a column come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The column at this position among those that are read beside it.
    File(usize, Adapt),
    /// The file does not have it.
    Constant(Constant),
}

/// What is done to an array.
#[derive(Debug)]
pub(super) enum Adapt {
    Leaf(Conversion),
    Struct(Fields, Vec<Source>),
    List(FieldRef, Box<Adapt>),
    /// The field of the entries, the keys and the values.
    Map(FieldRef, Box<(Adapt, Adapt)>),
}

impl Source {
    /// So many rows, `siblings` being the arrays that were read.
    pub(super) fn take(&self, siblings: &[ArrayRef], rows: usize) -> Result<ArrayRef, FileError> {
        match self {
            Source::Constant(constant) => constant.to_array(rows),
            Source::File(position, adapt) => {
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
                let take = |source: &Source| source.take(array.columns(), array.len());
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

/// Most often a null where the table has none.
pub(super) fn misfit(error: &ArrowError) -> FileError {
    FileError::malformed(format!("the rows of the file do not fit the table: {error}"))
}

fn unexpected(what: &str) -> FileError {
    FileError::malformed(format!("the decoder gave {what} where its schema has one"))
}
