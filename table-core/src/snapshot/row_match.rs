//! Whether files hold rows that a filter matches: none, perhaps some, or nothing else.

use std::collections::HashMap;

use super::error::SnapshotError;
use crate::expr::bind::{NameMatching, bind};
use crate::expr::bound::{Bound, PartitionFilter, RowFilter};
use crate::expr::expression::Expression;
use crate::expr::manifest_evaluator;
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
        manifest_evaluator::might_match(partitions, &line.summaries())
    }

    /// What is left of the filter in a partition. Work it out once for all files of it.
    pub(super) fn in_partition(&self, spec_id: i32, tuple: &PartitionTuple) -> PartitionMatch {
        let residuals = self.specs.get(&spec_id).map(|(_, residuals)| residuals);
        PartitionMatch { residual: residuals.map(|residuals| residuals.of(tuple.as_slice())) }
    }
}

/// A filter in one partition.
pub(super) struct PartitionMatch {
    /// `None` if nothing is known.
    residual: Option<RowFilter>,
}

impl PartitionMatch {
    /// Whether a file of the partition may hold such a row.
    pub(super) fn might_match(&self, file: &impl FileMetrics) -> bool {
        self.residual.as_ref().is_none_or(|residual| inclusive_metrics::might_match(residual, file))
    }

    /// Whether a file of the partition holds no other rows.
    pub(super) fn must_match(&self, file: &impl FileMetrics) -> bool {
        self.residual.as_ref().is_some_and(|residual| strict_metrics::must_match(residual, file))
    }

    /// Whether the partition may hold such a row, whatever is known of its files.
    pub(super) fn is_possible(&self) -> bool {
        self.residual != Some(Bound::False)
    }

    /// Whether all rows of the partition are such rows.
    pub(super) fn is_certain(&self) -> bool {
        self.residual == Some(Bound::True)
    }
}
