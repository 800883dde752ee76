//! Metrics modes: the properties `write.metadata.metrics.*`, interpreted as Java's `MetricsConfig` does. The
//! metrics are collected in [`super::statistics`].

use std::collections::BTreeMap;

use crate::metadata::properties::{Properties, number};
use crate::metadata::schema::{Columns, Field};
use crate::metadata::schema_index::SchemaIndex;
use crate::metadata::sort::SortOrder;
use crate::metadata::transform::Transform;
use crate::metadata::types::Type;

const DEFAULT_MODE: &str = "write.metadata.metrics.default";
const COLUMN_MODE: &str = "write.metadata.metrics.column.";
const INFERRED_COLUMNS_MAX: &str = "write.metadata.metrics.max-inferred-column-defaults";
const INFERRED_COLUMNS: i64 = 100;
const TRUNCATED: MetricsMode = MetricsMode::Truncate(16);

/// Metrics to collect for a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsMode {
    /// No metrics.
    None,
    /// Sizes and counts only.
    Counts,
    /// Sizes, counts and bounds; the bounds of strings and binary values are truncated to this many
    /// characters or bytes.
    Truncate(usize),
    /// Sizes, counts and bounds in full length.
    Full,
}

/// Metrics mode of each column.
#[derive(Debug, Clone)]
pub struct MetricsModes {
    default: MetricsMode,
    columns: BTreeMap<i32, MetricsMode>,
}

impl MetricsModes {
    /// Reads the modes from a table's properties. The columns of its sort order always have bounds, even if
    /// the default mode does not include them; a property for a single column takes precedence. A mode that
    /// cannot be parsed is replaced by the default.
    pub fn new(properties: &Properties, columns: &Columns, order: Option<&SortOrder>) -> MetricsModes {
        let mut modes = match properties.get(DEFAULT_MODE) {
            Some(mode) => MetricsModes::all(MetricsMode::parse(mode).unwrap_or(TRUNCATED)),
            None => MetricsModes::inferred(properties, &columns.root.fields),
        };
        let sorted = match modes.default {
            MetricsMode::None | MetricsMode::Counts => TRUNCATED,
            kept => kept,
        };
        modes.columns.extend(sorted_columns(order).map(|id| (id, sorted)));
        let chosen =
            properties.iter().filter_map(|(name, mode)| Some((name.strip_prefix(COLUMN_MODE)?, mode)));
        let Ok(index) = SchemaIndex::new(columns) else { return modes };
        for (name, mode) in chosen {
            if let Some(id) = index.id_of(name) {
                modes.columns.insert(id, MetricsMode::parse(mode).unwrap_or(modes.default));
            }
        }
        modes
    }

    /// Returns full metrics for every column.
    pub fn full() -> MetricsModes {
        MetricsModes::all(MetricsMode::Full)
    }

    /// Returns the mode of a column.
    pub fn of(&self, field_id: i32) -> MetricsMode {
        self.columns.get(&field_id).copied().unwrap_or(self.default)
    }

    fn all(default: MetricsMode) -> MetricsModes {
        MetricsModes { default, columns: BTreeMap::new() }
    }

    /// Returns the modes without a configured default: wide tables have metrics for their first columns only.
    fn inferred(properties: &Properties, fields: &[Field]) -> MetricsModes {
        let limit = number(properties, INFERRED_COLUMNS_MAX, INFERRED_COLUMNS);
        let limit = usize::try_from(limit).unwrap_or(INFERRED_COLUMNS.unsigned_abs().try_into().unwrap_or(0));
        if count(fields) <= limit {
            return MetricsModes::all(TRUNCATED);
        }
        let mut first = Vec::new();
        take_first(fields, limit, &mut first);
        let columns = first.into_iter().map(|id| (id, TRUNCATED)).collect();
        MetricsModes { default: MetricsMode::None, columns }
    }
}

impl MetricsMode {
    fn parse(text: &str) -> Option<MetricsMode> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "none" => Some(MetricsMode::None),
            "counts" => Some(MetricsMode::Counts),
            "full" => Some(MetricsMode::Full),
            _ => {
                let length = text.strip_prefix("truncate(")?.strip_suffix(')')?.parse().ok()?;
                (length > 0).then_some(MetricsMode::Truncate(length))
            }
        }
    }
}

/// Returns the columns of a sort order whose transform preserves the order of the values.
fn sorted_columns(order: Option<&SortOrder>) -> impl Iterator<Item = i32> {
    let is_kept = |transform: &Transform| match transform {
        Transform::Identity
        | Transform::Truncate(_)
        | Transform::Year
        | Transform::Month
        | Transform::Day
        | Transform::Hour => true,
        Transform::Bucket(_) | Transform::Void | Transform::Other(_) => false,
    };
    let fields = order.into_iter().flat_map(SortOrder::fields);
    fields.filter(move |field| is_kept(&field.transform)).flat_map(|field| field.source_ids.iter().copied())
}

/// Returns the children of a type.
fn parts(field_type: &Type) -> Vec<&Field> {
    match field_type {
        Type::Primitive(_) | Type::Other(_) => Vec::new(),
        Type::Struct(parts) => parts.fields.iter().collect(),
        Type::List(list) => vec![&list.element],
        Type::Map(map) => vec![&map.key, &map.value],
    }
}

/// Counts columns as Java does: primitive columns and structs, but not lists and maps.
fn count<'a>(fields: impl IntoIterator<Item = &'a Field>) -> usize {
    let one = |field: &'a Field| {
        let is_counted = !matches!(field.field_type, Type::List(_) | Type::Map(_));
        usize::from(is_counted) + count(parts(&field.field_type))
    };
    fields.into_iter().map(one).sum()
}

/// Collects the first primitive columns: those of a struct before those of the structs in it.
fn take_first<'a>(fields: impl IntoIterator<Item = &'a Field>, limit: usize, taken: &mut Vec<i32>) {
    let fields: Vec<&Field> = fields.into_iter().collect();
    for field in &fields {
        if matches!(field.field_type, Type::Primitive(_)) && taken.len() < limit {
            taken.push(field.id);
        }
    }
    for field in fields {
        take_first(parts(&field.field_type), limit, taken);
    }
}
