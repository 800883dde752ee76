//! Files of one partition in fewer files of it: rows keep their order.

use roaring::RoaringTreemap;
use table_core::file::checksum::RowChecksum;
use table_core::manifest::partition::PartitionTuple;

use super::output::Writer;
use super::rewrite::Rewriting;
use crate::error::JobError;

/// Copies what is left of a group's rows.
pub(super) fn copy(
    rewriting: &Rewriting<'_>,
    deleted: &[RoaringTreemap],
    partition: &PartitionTuple,
    writer: &mut Writer<'_>,
    seen: &mut RowChecksum,
) -> Result<(), JobError> {
    rewriting.each_batch(deleted, |batch| {
        seen.add(&batch).map_err(|error| JobError::Internal(error.to_string()))?;
        writer.write(partition, &batch)
    })
}
