//! Whether files hold rows that a filter matches: none, perhaps some, or nothing else.

use std::collections::HashMap;

use super::error::SnapshotError;
use crate::expr::bind::{NameMatching, bind};
use crate::expr::bound::{Bound, PartitionFilter};
use crate::expr::expression::Expression;
use crate::expr::manifest_evaluator::{self, FieldSummary};
use crate::expr::metrics::FileMetrics;
use crate::expr::residual::Residuals;
use crate::expr::{inclusive_metrics, project, strict_metrics};
use crate::manifest::list::ManifestFile;
use crate::manifest::partition::PartitionTuple;
use crate::metadata::table::TableMetadata;

/// A filter, ready to judge manifests and files of all of a table's partition specs.
pub(super) struct RowMatch {
    specs: HashMap<i32, (PartitionFilter, Residuals)>,
}

impl RowMatch {
    pub(super) fn new(metadata: &TableMetadata, filter: &Expression) -> Result<RowMatch, SnapshotError> {
        let columns = metadata.current_schema()?.columns()?;
        let filter = bind(filter, &columns.root, NameMatching::CaseSensitive)?;
        let specs = metadata
            .partition_specs()
            .iter()
            .map(|spec| (spec.id(), (project::inclusive(&filter, spec), Residuals::new(&filter, spec))));
        Ok(RowMatch { specs: specs.collect() })
    }

    /// Whether a manifest may list a file with such a row.
    pub(super) fn may_list(&self, line: &ManifestFile) -> bool {
        let Some((partitions, _)) = self.specs.get(&line.spec_id) else { return true };
        let summaries: Vec<_> = line
            .partitions
            .iter()
            .flatten()
            .map(|summary| FieldSummary {
                contains_null: summary.contains_null,
                contains_nan: summary.contains_nan,
                lower: summary.lower_bound.as_deref(),
                upper: summary.upper_bound.as_deref(),
            })
            .collect();
        manifest_evaluator::might_match(partitions, &summaries)
    }

    /// Whether a file may hold such a row.
    pub(super) fn might_match(&self, spec_id: i32, tuple: &PartitionTuple, file: &impl FileMetrics) -> bool {
        let Some((_, residuals)) = self.specs.get(&spec_id) else { return true };
        inclusive_metrics::might_match(&residuals.of(tuple.as_slice()), file)
    }

    /// Whether a file holds no other rows.
    pub(super) fn must_match(&self, spec_id: i32, tuple: &PartitionTuple, file: &impl FileMetrics) -> bool {
        let Some((_, residuals)) = self.specs.get(&spec_id) else { return false };
        strict_metrics::must_match(&residuals.of(tuple.as_slice()), file)
    }

    /// Whether files of a partition may hold such a row, whatever else is known of them.
    pub(super) fn might_match_partition(&self, spec_id: i32, tuple: &PartitionTuple) -> bool {
        let Some((_, residuals)) = self.specs.get(&spec_id) else { return true };
        residuals.of(tuple.as_slice()) != Bound::False
    }

    /// Whether all rows of a partition are such rows.
    pub(super) fn is_whole_partition(&self, spec_id: i32, tuple: &PartitionTuple) -> bool {
        let Some((_, residuals)) = self.specs.get(&spec_id) else { return false };
        residuals.of(tuple.as_slice()) == Bound::True
    }
}
