//! Evaluation of a row filter on files: whether none, some or all of their rows match.

use std::collections::HashMap;

use super::error::SnapshotError;
use crate::expr::bind::{NameMatching, bind};
use crate::expr::bound::{Bound, BoundFilter, PartitionFilter};
use crate::expr::expression::Expression;
use crate::expr::manifest_evaluator;
use crate::expr::metrics::FileMetrics;
use crate::expr::residual::Residuals;
use crate::expr::{inclusive_metrics, project, strict_metrics};
use crate::manifest::list::ManifestFile;
use crate::manifest::partition::PartitionTuple;
use crate::metadata::table::TableMetadata;

/// Row filter, bound to all partition specs of a table, for evaluation on manifests and files.
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

    /// Returns `true` if a manifest may list a file with matching rows.
    pub(super) fn may_list(&self, manifest_file: &ManifestFile) -> bool {
        let Some((partitions, _)) = self.specs.get(&manifest_file.spec_id) else { return true };
        manifest_evaluator::might_match(partitions, &manifest_file.summaries())
    }

    /// Returns the residual filter in a partition, to be computed once for all of its files.
    pub(super) fn in_partition(&self, spec_id: i32, tuple: &PartitionTuple) -> PartitionMatch {
        let residuals = self.specs.get(&spec_id).map(|(_, residuals)| residuals);
        PartitionMatch { residual: residuals.map(|residuals| residuals.of(tuple.as_slice())) }
    }
}

/// Row filter in one partition.
pub(super) struct PartitionMatch {
    /// Residual filter; `None` if the partition spec is unknown.
    residual: Option<BoundFilter>,
}

impl PartitionMatch {
    /// Returns `true` if a file of the partition may contain matching rows.
    pub(super) fn might_match(&self, file: &impl FileMetrics) -> bool {
        self.residual.as_ref().is_none_or(|residual| inclusive_metrics::might_match(residual, file))
    }

    /// Returns `true` if all rows of a file of the partition match.
    pub(super) fn must_match(&self, file: &impl FileMetrics) -> bool {
        self.residual.as_ref().is_some_and(|residual| strict_metrics::must_match(residual, file))
    }

    /// Returns `true` if the partition may contain matching rows, independent of its files.
    pub(super) fn is_possible(&self) -> bool {
        self.residual != Some(Bound::False)
    }

    /// Returns `true` if all rows of the partition match.
    pub(super) fn is_certain(&self) -> bool {
        self.residual == Some(Bound::True)
    }
}
