//! Column metrics of a file that is assembled from others: sums of counts, and the widest bounds. Metrics
//! that are missing in one part are missing in the result.

use std::collections::BTreeMap;

use crate::expr::value::ValueRef;
use crate::manifest::data_file::ColumnMetrics;
use crate::metadata::error::MetadataError;
use crate::metadata::schema::Columns;
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::types::Primitive;

/// Merges the column metrics of several files. `columns` are those of the table, whose types determine how
/// bounds are compared.
///
/// # Errors
///
/// Fails with a [`MetadataError`] if the columns cannot be indexed by name.
pub fn merge(parts: &[&ColumnMetrics], columns: &Columns) -> Result<ColumnMetrics, MetadataError> {
    let index = SchemaIndex::new(columns)?;
    let mut merged = ColumnMetrics {
        column_sizes: sum(parts, |part| &part.column_sizes),
        value_counts: sum(parts, |part| &part.value_counts),
        null_value_counts: sum(parts, |part| &part.null_value_counts),
        nan_value_counts: sum(parts, |part| &part.nan_value_counts),
        ..ColumnMetrics::default()
    };
    for field in index.iter() {
        let Some(primitive) = field.primitive() else { continue };
        let id = field.field.id;
        if let Some(lower) = widest(parts, id, primitive, |part| &part.lower_bounds, Iterator::min) {
            merged.lower_bounds.insert(id, lower);
        }
        if let Some(upper) = widest(parts, id, primitive, |part| &part.upper_bounds, Iterator::max) {
            merged.upper_bounds.insert(id, upper);
        }
    }
    Ok(merged)
}

fn sum(
    parts: &[&ColumnMetrics],
    counts: impl for<'a> Fn(&'a ColumnMetrics) -> &'a BTreeMap<i32, i64>,
) -> BTreeMap<i32, i64> {
    let Some((first, rest)) = parts.split_first() else { return BTreeMap::new() };
    let sum_of = |(id, count): (&i32, &i64)| {
        let sum = rest.iter().try_fold(*count, |sum, part| sum.checked_add(*counts(part).get(id)?));
        Some((*id, sum?))
    };
    counts(first).iter().filter_map(sum_of).collect()
}

fn widest<'a>(
    parts: &[&'a ColumnMetrics],
    id: i32,
    primitive: &Primitive,
    bounds: impl Fn(&'a ColumnMetrics) -> &'a BTreeMap<i32, Vec<u8>>,
    choose: impl Fn(std::vec::IntoIter<ValueRef<'a>>) -> Option<ValueRef<'a>>,
) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    for part in parts {
        match bounds(part).get(&id) {
            Some(bound) => {
                // Some writers store bounds that are invalid, such as NaN.
                let bound = ValueRef::decode(bound, primitive).filter(|bound| !bound.is_nan())?;
                found.push(bound);
            }
            None if has_no_values(part, id) => {}
            None => return None,
        }
    }
    choose(found.into_iter()).map(ValueRef::encode)
}

/// Returns `true` if a file has no values in a column that could be outside of a bound.
fn has_no_values(part: &ColumnMetrics, id: i32) -> bool {
    let count = |counts: &BTreeMap<i32, i64>| counts.get(&id).copied();
    let nans = count(&part.nan_value_counts).unwrap_or(0);
    count(&part.value_counts)
        .zip(count(&part.null_value_counts))
        .is_some_and(|(values, nulls)| values == nulls.saturating_add(nans))
}
