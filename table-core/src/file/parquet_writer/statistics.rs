//! Column metrics of a file, computed from the batches that are written to it. The statistics of the row
//! groups cannot be used: they may be truncated or missing, and bounds derived from the remaining ones would
//! exclude rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use parquet::file::metadata::RowGroupMetaData;

use super::bound;
use super::extremes::Extremes;
use super::modes::{MetricsMode, MetricsModes};
use crate::file::arrow_schema::primitive_to_arrow;
use crate::file::parquet_schema::is_unwritten;
use crate::manifest::data_file::ColumnMetrics;
use crate::metadata::schema::Field;
use crate::metadata::types::{Primitive, Type};

/// Accumulated metrics of the rows so far.
#[derive(Debug)]
pub(super) struct Statistics {
    roots: Vec<Node>,
    /// Field ids and modes of all leaf columns of the file, in the order of the file.
    modes: Vec<(i32, MetricsMode)>,
}

/// Column of the file for which metrics are collected.
#[derive(Debug)]
enum Node {
    Leaf(Leaf),
    Struct(Vec<Node>),
    /// List or map. As in Java, its children have no counts and no bounds, which would be per element,
    /// whereas readers interpret them per row.
    Repeated,
}

#[derive(Debug)]
struct Leaf {
    id: i32,
    value_type: Primitive,
    mode: MetricsMode,
    values: i64,
    nulls: i64,
    /// NaN count, for floating-point columns only.
    nans: Option<i64>,
    extremes: Extremes,
}

impl Statistics {
    /// Creates empty metrics for a file with these columns.
    pub(super) fn new(fields: &[Field], modes: &MetricsModes) -> Statistics {
        let mut all = Vec::new();
        collect_modes(fields, modes, &mut all);
        Statistics { roots: nodes(fields, modes), modes: all }
    }

    /// Adds a batch as it is written to the file.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        for (node, array) in self.roots.iter_mut().zip(batch.columns()) {
            add(node, array, None);
        }
    }

    /// Returns the metrics, with the column sizes taken from the file's row groups.
    pub(super) fn finish(self, row_groups: &[RowGroupMetaData]) -> ColumnMetrics {
        let mut metrics = ColumnMetrics::default();
        for group in row_groups {
            for (chunk, (id, mode)) in group.columns().iter().zip(&self.modes) {
                if *mode == MetricsMode::None {
                    continue;
                }
                *metrics.column_sizes.entry(*id).or_default() += chunk.compressed_size();
            }
        }
        self.roots.into_iter().for_each(|root| finish(root, &mut metrics));
        metrics
    }
}

fn nodes(fields: &[Field], modes: &MetricsModes) -> Vec<Node> {
    let written = fields.iter().filter(|field| !is_unwritten(&field.field_type));
    written.map(|field| node(field, modes)).collect()
}

fn node(field: &Field, modes: &MetricsModes) -> Node {
    match &field.field_type {
        Type::Primitive(primitive) => {
            let mode = modes.of(field.id);
            let data_type = match mode {
                MetricsMode::None | MetricsMode::Counts => None,
                MetricsMode::Truncate(_) | MetricsMode::Full => primitive_to_arrow(primitive),
            };
            let has_nans = matches!(primitive, Primitive::Float | Primitive::Double);
            Node::Leaf(Leaf {
                id: field.id,
                value_type: primitive.clone(),
                mode,
                values: 0,
                nulls: 0,
                nans: has_nans.then_some(0),
                extremes: data_type.as_ref().map_or(Extremes::None, Extremes::new),
            })
        }
        Type::Struct(parts) => Node::Struct(nodes(&parts.fields, modes)),
        Type::List(_) | Type::Map(_) | Type::Other(_) => Node::Repeated,
    }
}

/// Collects the modes of the leaf columns in the order in which Parquet lists them.
fn collect_modes(fields: &[Field], modes: &MetricsModes, all: &mut Vec<(i32, MetricsMode)>) {
    for field in fields {
        match &field.field_type {
            Type::Primitive(Primitive::Unknown) | Type::Other(_) => {}
            Type::Primitive(_) => all.push((field.id, modes.of(field.id))),
            Type::Struct(parts) => collect_modes(&parts.fields, modes, all),
            Type::List(list) => collect_modes(std::slice::from_ref(&list.element), modes, all),
            Type::Map(map) => {
                collect_modes(std::slice::from_ref(&map.key), modes, all);
                collect_modes(std::slice::from_ref(&map.value), modes, all);
            }
        }
    }
}

fn add(node: &mut Node, array: &ArrayRef, parent: Option<&NullBuffer>) {
    if matches!(node, Node::Repeated) {
        return;
    }
    // A value is null if the value itself or any enclosing struct is.
    let nulls = NullBuffer::union(parent, array.nulls()).filter(|nulls| nulls.null_count() > 0);
    match node {
        Node::Leaf(leaf) if leaf.mode != MetricsMode::None => leaf.add(array, nulls.as_ref()),
        Node::Struct(children) => {
            let Some(array) = array.as_struct_opt() else { return };
            for (child, array) in children.iter_mut().zip(array.columns()) {
                add(child, array, nulls.as_ref());
            }
        }
        Node::Leaf(_) | Node::Repeated => {}
    }
}

impl Leaf {
    fn add(&mut self, array: &ArrayRef, nulls: Option<&NullBuffer>) {
        self.values += count(array.len());
        self.nulls += count(nulls.map_or(0, NullBuffer::null_count));
        if let Some(nans) = &mut self.nans {
            *nans += count_nans(array, nulls);
        }
        self.extremes.add(array, nulls);
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count_nans(array: &dyn Array, nulls: Option<&NullBuffer>) -> i64 {
    let is_valid = |row: usize| nulls.is_none_or(|nulls| nulls.is_valid(row));
    let nans = match array.data_type() {
        DataType::Float32 => array.as_primitive_opt::<Float32Type>().map(|array| {
            array.values().iter().enumerate().filter(|(row, value)| value.is_nan() && is_valid(*row)).count()
        }),
        _ => array.as_primitive_opt::<Float64Type>().map(|array| {
            array.values().iter().enumerate().filter(|(row, value)| value.is_nan() && is_valid(*row)).count()
        }),
    };
    count(nans.unwrap_or(0))
}

fn finish(node: Node, metrics: &mut ColumnMetrics) {
    let leaf = match node {
        Node::Leaf(leaf) if leaf.mode != MetricsMode::None => leaf,
        Node::Struct(children) => return children.into_iter().for_each(|child| finish(child, metrics)),
        Node::Leaf(_) | Node::Repeated => return,
    };
    metrics.value_counts.insert(leaf.id, leaf.values);
    metrics.null_value_counts.insert(leaf.id, leaf.nulls);
    if let Some(nans) = leaf.nans {
        metrics.nan_value_counts.insert(leaf.id, nans);
    }
    let scale = match leaf.value_type {
        Primitive::Decimal { scale, .. } => scale,
        _ => 0,
    };
    let Some((least, greatest)) = leaf.extremes.encode(scale) else { return };
    metrics.lower_bounds.insert(leaf.id, bound::lower(least, &leaf.value_type, leaf.mode));
    if let Some(upper) = bound::upper(greatest, &leaf.value_type, leaf.mode) {
        metrics.upper_bounds.insert(leaf.id, upper);
    }
}
