//! Comparison of partitions for purposes where a false negative would lose data: values that cannot be
//! compared may be equal. Values of the same partition may have different types, because the column's type
//! was promoted between two reads.

use crate::expr::value::{Value, ValueRef};
use crate::manifest::list::{ManifestFile, PartitionSummary};
use crate::manifest::partition::{PartitionTuple, PartitionType};
use crate::metadata::types::Primitive;

/// Returns `true` if both tuples may be the same partition of a spec.
pub(super) fn may_be_same(left: &PartitionTuple, right: &PartitionTuple) -> bool {
    let same = |(left, right): (&Option<Value>, &Option<Value>)| match (left, right) {
        (None, None) => true,
        (Some(left), Some(right)) => !left.as_ref().is_comparable(right.as_ref()) || left == right,
        _ => false,
    };
    left.iter().zip(right).all(same)
}

/// Returns `true` if a manifest may list files of a partition, according to its partition summaries.
pub(super) fn may_contain(
    manifest_file: &ManifestFile,
    types: &PartitionType,
    tuple: &PartitionTuple,
) -> bool {
    let Some(summaries) =
        manifest_file.partitions.as_ref().filter(|summaries| summaries.len() == tuple.len())
    else {
        return true;
    };
    let fields = summaries.iter().zip(types).zip(tuple);
    fields.into_iter().all(|((summary, (_, value_type)), value)| match value {
        None => summary.contains_null,
        Some(value) if value.is_nan() => summary.contains_nan != Some(false),
        Some(value) => value_type.as_ref().is_none_or(|kind| in_range(summary, kind, value.as_ref())),
    })
}

fn in_range(summary: &PartitionSummary, value_type: &Primitive, value: ValueRef<'_>) -> bool {
    // Java orders UUIDs as pairs of signed integers, other writers by bytes.
    if *value_type == Primitive::Uuid {
        return true;
    }
    let bound = |bytes: &'_ Option<Vec<u8>>| {
        bytes.as_deref().and_then(|bytes| ValueRef::decode(bytes, value_type)?.to_value())
    };
    // Without bounds there are only null and NaN, or the bounds were omitted.
    let holds = |bound: Option<Value>, test: fn(ValueRef<'_>, ValueRef<'_>) -> bool| {
        bound.is_none_or(|bound| !bound.as_ref().is_comparable(value) || test(bound.as_ref(), value))
    };
    holds(bound(&summary.lower_bound), |lower, value| lower <= value)
        && holds(bound(&summary.upper_bound), |upper, value| upper >= value)
}
