//! NaN in columns, whose statistics would make readers lose rows: the encoder computes minimum and maximum of the
//! other values, while some engines (Spark) consider NaN to be greater than all of them. Java's writer writes NaN
//! into the statistics in this case, which makes readers ignore them.

use std::slice::IterMut;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use parquet::column::writer::ColumnCloseResult;

/// Sets the flags of the leaf columns below an array that contain NaN, in the order in which Parquet lists them.
/// Values below a list count even if they are not in the slice of the list that is written.
pub(super) fn find(array: &ArrayRef, flags: &mut IterMut<'_, bool>) {
    match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|column| find(column, flags)),
        DataType::List(_) => find(array.as_list::<i32>().values(), flags),
        DataType::LargeList(_) => find(array.as_list::<i64>().values(), flags),
        DataType::Map(_, _) => {
            array.as_map().entries().columns().iter().for_each(|column| find(column, flags));
        }
        data_type => {
            let Some(flag) = flags.next() else { return };
            *flag = *flag
                || match data_type {
                    DataType::Float32 => {
                        array.as_primitive::<Float32Type>().values().iter().any(|it| it.is_nan())
                    }
                    DataType::Float64 => {
                        array.as_primitive::<Float64Type>().values().iter().any(|it| it.is_nan())
                    }
                    _ => false,
                };
        }
    }
}

/// Removes minimum and maximum of a column, and those of its pages.
pub(super) fn remove_statistics(close: &mut ColumnCloseResult) {
    close.column_index = None;
    if let Ok(metadata) = close.metadata.clone().into_builder().clear_statistics().build() {
        close.metadata = metadata;
    }
}
