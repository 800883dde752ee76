//! Decompressed bytes of a manifest, which hold the values that are decoded on access.

use super::metrics::PairShape;

/// Decompressed bytes of a manifest, and how to read the metrics in them.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    pub(super) shapes: Shapes,
}

/// Layout of the metrics maps.
#[derive(Clone, Copy)]
pub(super) struct Shapes {
    pub(super) column_sizes: PairShape,
    pub(super) value_counts: PairShape,
    pub(super) null_value_counts: PairShape,
    pub(super) nan_value_counts: PairShape,
    pub(super) lower_bounds: PairShape,
    pub(super) upper_bounds: PairShape,
}

/// Range of the decompressed bytes of a manifest.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Body {
    pub(super) fn slice(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}
