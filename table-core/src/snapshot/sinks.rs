//! How far streaming writers have come, which they write into the summaries of their snapshots and look up there when they start
//! again: Flink, Kafka Connect and Spark. They go from the head of their branch through its ancestors and stop where one is
//! missing, so that the way to the newest such snapshot of a writer matters as much as that snapshot itself.

use std::collections::{BTreeMap, HashSet};

use super::history::History;
use crate::metadata::snapshot::Snapshot;

/// `SinkUtil` and `IcebergFilesCommitter` of Iceberg's Flink module.
const FLINK_CHECKPOINT: &str = "flink.max-committed-checkpoint-id";
const FLINK_JOB: &str = "flink.job-id";
const FLINK_OPERATOR: &str = "flink.operator-id";
/// `Coordinator` of Iceberg's Kafka Connect module: `kafka.connect.offsets.<control topic>.<group>` and what comes with it.
const KAFKA_CONNECT: &str = "kafka.connect.";
/// `SparkWrite` of Iceberg's Spark module.
const SPARK_QUERY: &str = "spark.sql.streaming.queryId";

/// The snapshots of a branch that its streaming writers need, given its head: for each writer from the head to the newest snapshot
/// that tells how far it was, if that one `is_young`.
pub(super) fn needed(history: &History<'_>, head: i64, is_young: impl Fn(&Snapshot) -> bool) -> HashSet<i64> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut line = Vec::new();
    let mut needed = 0;
    for snapshot in history.ancestors(head) {
        line.push(snapshot.id());
        let mut is_first = false;
        for writer in writers(snapshot) {
            is_first |= seen.insert(writer);
        }
        if is_first && is_young(snapshot) {
            needed = line.len();
        }
    }
    line.truncate(needed);
    line.into_iter().collect()
}

/// The writers of whose progress a snapshot tells. A summary that cannot be read tells of none.
fn writers(snapshot: &Snapshot) -> Vec<String> {
    let summary: BTreeMap<String, String> = snapshot.summary().unwrap_or_default().into_iter().collect();
    let value = |key: &str| summary.get(key).map_or("", String::as_str);
    let mut writers = Vec::new();
    if summary.contains_key(FLINK_CHECKPOINT) {
        // Neither id has a control character in it.
        writers.push(format!("flink\0{}\0{}", value(FLINK_JOB), value(FLINK_OPERATOR)));
    }
    writers.extend(summary.keys().filter(|key| key.starts_with(KAFKA_CONNECT)).cloned());
    if let Some(query) = summary.get(SPARK_QUERY) {
        writers.push(format!("spark\0{query}"));
    }
    writers
}
