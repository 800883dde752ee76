//! Compaction: merges small data files and applies deletes. It plans, rewrites group by group, and commits
//! several groups at a time. At the end, equality deletes of files that are not rewritten are converted to
//! position deletes ([`convert`]).

mod batch;
mod batch_commit;
pub mod planning;
mod remap;

use openapi::worker::UnreadableFile;
use table_core::metadata::table::TableMetadata;
use table_core::rewrite::live::LiveFiles;
use table_core::rewrite::plan::{CompactionPlan, Group};
use table_core::text::count;

use self::batch::{Batch, RewrittenGroup};
use self::batch_commit::BatchCommit;
use super::{convert, unreadable};
use crate::context::JobContext;
use crate::control::{Progress, Unit};
use crate::error::JobError;
use crate::execute::deletes::Targets;
use crate::execute::rewrite::Rewriter;
use crate::output_ledger::OutputLedger;
use crate::report::{JobReport, describe_unreadable};

/// Maximum number of passes, each planned without the files that could not be read before. The first pass
/// finds all unreadable files of its groups; later ones find only files that change meanwhile.
const PASSES_MAX: usize = 3;

/// Compaction in progress.
struct Compaction<'a> {
    job: &'a JobContext<'a>,
    plan: &'a CompactionPlan,
    live: &'a LiveFiles,
    outputs: &'a OutputLedger<'a>,
    report: &'a mut JobReport,
    /// Id of the schema that new files are written with.
    schema_id: i32,
    /// Files that could not be read.
    found: Vec<UnreadableFile>,
    /// First error of a group that was not caused by an unreadable file.
    broken: Option<JobError>,
}

/// Compacts a table. `report` also contains what was done before a failure.
///
/// Files that cannot be read are skipped, and the compaction is planned again without them.
///
/// # Errors
///
/// Fails if the table cannot be loaded or planned (see [`planning::plan`]), if the job has to stop, if a file
/// cannot be written or a commit is refused, if concurrent commits prevent every attempt
/// ([`JobError::LostRaces`]), if the outcome of a commit is unknown ([`JobError::OutcomeUnknown`]), and if more
/// than [`unreadable::UNREADABLE_MAX`] files cannot be read ([`JobError::Verification`]). Groups that were
/// rewritten before are still committed, unless the lease is lost or a commit itself has failed.
pub fn run(job: &JobContext<'_>, report: &mut JobReport) -> Result<(), JobError> {
    let outputs = OutputLedger::new(job.control, job.files);
    let mut skipped = unreadable::unchanged(job)?;
    let done = run_passes(job, &outputs, report, &mut skipped);
    // Files that were written and not committed.
    outputs.delete_all();
    report.set_unreadable(skipped);
    done
}

/// Compacts a table without the files `skipped`, and again without those that turn out to be unreadable, which
/// are added to them.
fn run_passes(
    job: &JobContext<'_>,
    outputs: &OutputLedger<'_>,
    report: &mut JobReport,
    skipped: &mut Vec<UnreadableFile>,
) -> Result<(), JobError> {
    for _ in 0..PASSES_MAX {
        job.control.progress(Progress { activity: "planning".to_owned(), ..Progress::default() });
        let metadata = job.catalog.load()?.metadata;
        if let Some(unpublished) = job.unpublished(&metadata)? {
            report.skip(unpublished.explain());
            return Ok(());
        }
        let Some((plan, live)) = planning::plan(job, &metadata, job.policy, skipped)? else { return Ok(()) };
        *skipped = unreadable::of_snapshot(std::mem::take(skipped), &live);
        let mut compaction = Compaction {
            job,
            plan: &plan,
            live: &live,
            outputs,
            report: &mut *report,
            schema_id: metadata.current_schema_id(),
            found: Vec::new(),
            broken: None,
        };
        let mut done = compaction.run(&metadata);
        let mut found = compaction.found;
        if done.is_ok() {
            done = convert::run(job, &metadata, &plan, outputs, report, &mut found);
        }
        outputs.delete_all();
        let is_whole = found.is_empty();
        unreadable::add(skipped, found);
        done?;
        if is_whole {
            return Ok(());
        }
        if skipped.len() > unreadable::UNREADABLE_MAX {
            return Err(JobError::Verification(describe_unreadable(skipped).unwrap_or_default()));
        }
    }
    Ok(())
}

impl<'a> Compaction<'a> {
    fn run(&mut self, metadata: &TableMetadata) -> Result<(), JobError> {
        let sorted = self.job.policy.compact.sort != Some(false);
        let rewriter = Rewriter::new(self.job, metadata, self.plan.output_spec_id, sorted)?;
        let mut batch = Batch::new(self.outputs);
        // Files that move to another partition spec come last, because they are committed separately.
        let mut groups: Vec<&Group> = self.plan.groups.iter().collect();
        groups.sort_by_key(|group| group.partition.is_none());
        for (number, group) in groups.into_iter().enumerate() {
            self.report_progress(number, group);
            if batch.differs_from(group) {
                self.commit(&mut batch)?;
            }
            match rewriter.rewrite(group, self.outputs) {
                Ok(rewritten) => batch.groups.push(RewrittenGroup { number, group, rewritten }),
                Err(error) => match self.leave_out(metadata, (number, group), error) {
                    Ok(()) => {}
                    // Without the lease, another worker deletes the output files.
                    Err(error @ JobError::LeaseLost(_)) => return Err(error),
                    // Groups that are written are committed even if the job has to end.
                    Err(error) => {
                        self.commit(&mut batch)?;
                        return Err(error);
                    }
                },
            }
            if batch.is_full() {
                self.commit(&mut batch)?;
            }
        }
        self.commit(&mut batch)?;
        self.broken.take().map_or(Ok(()), Err)
    }

    fn report_progress(&self, number: usize, group: &Group) {
        let total = self.plan.groups.len();
        let files = count(group.inputs.len() as u64, "file", "files");
        self.job.control.progress(Progress {
            activity: format!("group {} of {total}: {files}", number + 1),
            done: number as u64,
            total: total as u64,
            unit: Unit("group", "groups"),
        });
    }

    /// Commits the groups of a batch, which is empty then.
    fn commit(&mut self, batch: &mut Batch<'a>) -> Result<(), JobError> {
        let batch = std::mem::replace(batch, Batch::new(self.outputs));
        let Compaction { job, plan, live, outputs, schema_id, .. } = *self;
        let commit_uuid = (job.environment.uuid)();
        BatchCommit { job, plan, live, outputs, schema_id, commit_uuid }.commit(batch, self.report)
    }

    /// Skips a group that could not be rewritten, or finds the unreadable files because of which it could
    /// not.
    ///
    /// Returns the error if it also prevents the other groups from being rewritten.
    fn leave_out(
        &mut self,
        metadata: &TableMetadata,
        (number, group): (usize, &Group),
        error: JobError,
    ) -> Result<(), JobError> {
        let error = if error.is_of_files() {
            let targets = Targets { inputs: &group.inputs, deletes: &group.deletes };
            match unreadable::find(self.job, metadata, targets, error) {
                Ok(found) => {
                    self.found.extend(found);
                    return Ok(());
                }
                Err(error) => error,
            }
        } else {
            error
        };
        if !error.is_of_files() && !matches!(error, JobError::Budget { .. }) {
            return Err(error);
        }
        self.report.skip(format!("group {}: {error}", number + 1));
        self.broken.get_or_insert(error);
        Ok(())
    }
}
