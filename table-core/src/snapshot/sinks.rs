//! Progress of streaming writers (Flink, Kafka Connect and Spark), which they store in the summaries of their
//! snapshots and look up when they restart. They search from the head of their branch through its ancestors
//! and stop where one is missing, so the snapshots on the way to the newest one with a writer's progress are
//! needed as well.

use std::collections::{BTreeMap, HashSet};

use super::history::SnapshotHistory;
use crate::metadata::snapshot::Snapshot;

/// Property of `SinkUtil` and `IcebergFilesCommitter` in Iceberg's Flink module.
const FLINK_CHECKPOINT: &str = "flink.max-committed-checkpoint-id";
const FLINK_JOB: &str = "flink.job-id";
const FLINK_OPERATOR: &str = "flink.operator-id";
/// Property prefix of `Coordinator` in Iceberg's Kafka Connect module: `kafka.connect.offsets.<control
/// topic>.<group>` and others.
const KAFKA_CONNECT: &str = "kafka.connect.";
/// Property of `SparkWrite` in Iceberg's Spark module.
const SPARK_QUERY: &str = "spark.sql.streaming.queryId";

/// Returns the ids of the snapshots of a branch that its streaming writers need: for each writer those from
/// `head` to the newest snapshot with its progress, if that snapshot `is_young`.
pub(super) fn needed(
    history: &SnapshotHistory<'_>,
    head: i64,
    is_young: impl Fn(&Snapshot) -> bool,
) -> HashSet<i64> {
    let mut found_writers: HashSet<String> = HashSet::new();
    let mut ancestors = Vec::new();
    let mut needed = 0;
    for snapshot in history.ancestors(head) {
        ancestors.push(snapshot.id());
        let mut is_first = false;
        for writer in writers(snapshot) {
            is_first |= found_writers.insert(writer);
        }
        if is_first && is_young(snapshot) {
            needed = ancestors.len();
        }
    }
    ancestors.truncate(needed);
    ancestors.into_iter().collect()
}

/// Returns the writers whose progress a snapshot contains. A summary that cannot be parsed contains none.
fn writers(snapshot: &Snapshot) -> Vec<String> {
    let summary: BTreeMap<String, String> = snapshot.summary().unwrap_or_default().into_iter().collect();
    let value = |key: &str| summary.get(key).map_or("", String::as_str);
    let mut writers = Vec::new();
    if summary.contains_key(FLINK_CHECKPOINT) {
        // The separator is unambiguous: neither id contains control characters.
        writers.push(format!("flink\0{}\0{}", value(FLINK_JOB), value(FLINK_OPERATOR)));
    }
    writers.extend(summary.keys().filter(|key| key.starts_with(KAFKA_CONNECT)).cloned());
    if let Some(query) = summary.get(SPARK_QUERY) {
        writers.push(format!("spark\0{query}"));
    }
    writers
}
