//! Invariants of the simulation. At every step, each snapshot can be read and contains the rows that
//! writers committed, the lineage of a row that no writer changed is unchanged, and the reports of jobs name each
//! snapshot of maintenance. At the end, no unneeded file is left.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;

use super::faults::FaultPlan;
use super::model::Rows;
use super::reader::{Contents, by_id};
use super::steps;
use super::world::{TableStates, World};
use super::writer;
use crate::fixture::local;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// Maximum number of jobs that are done until there are none left; far more than are ever needed.
const ROUNDS_MAX: usize = 60;

/// Checks all tables.
pub(super) async fn all(world: &World) -> Result<(), String> {
    let mut states = world.states.lock().await;
    for number in 0..states.tables.len() {
        table(world, &mut states, number).await?;
    }
    Ok(())
}

/// Checks a table: all of its snapshots can be read and contain the expected rows.
pub(super) async fn table(world: &World, states: &mut TableStates, number: usize) -> Result<(), String> {
    let TableStates { tables, reader } = states;
    let table = &mut tables[number];
    let document = world.load(table.kind).await?;
    let with_context = |what: String| format!("{}: {what}", table.kind.name);
    let mut snapshots: Vec<&Json> = document["snapshots"].as_array().into_iter().flatten().collect();
    snapshots.sort_by_key(|snapshot| snapshot["sequence-number"].as_i64());
    let head = writer::current(&document).and_then(|snapshot| snapshot["snapshot-id"].as_i64());
    for snapshot in snapshots {
        let id = snapshot["snapshot-id"].as_i64().unwrap_or(0);
        let operation = &snapshot["summary"]["operation"];
        let which = |what: String| {
            with_context(format!("snapshot {} ({operation}): {what}", snapshot["sequence-number"]))
        };
        let contents = reader.read(snapshot).map_err(which)?;
        let rows = by_id(&contents.rows).map_err(which)?;
        // A snapshot that maintenance committed has the same rows as its parent.
        let parent = snapshot["parent-snapshot-id"].as_i64();
        let expected = table.expected.get(&id).or_else(|| table.expected.get(&parent?)).cloned();
        let expected = expected.or_else(|| (head == Some(id)).then(|| table.rows.clone()));
        if let Some(expected) = &expected {
            compare(&rows, expected).map_err(which)?;
        }
        let is_new = table.expected.insert(id, rows.clone()).is_none();
        if is_new && operation == "replace" {
            check_reported(world, id).await.map_err(which)?;
        }
        if head == Some(id) {
            compare(&rows, &table.rows).map_err(which)?;
            check_lineage(&mut table.lineage, &contents).map_err(which)?;
        }
    }
    if head.is_none() && !table.rows.is_empty() {
        return Err(with_context("the current snapshot is missing".to_owned()));
    }
    Ok(())
}

/// Checks that the report of a job names a snapshot that maintenance committed, even if the worker
/// has crashed.
async fn check_reported(world: &World, snapshot_id: i64) -> Result<(), String> {
    let path = "/governance/v1/maintenance/jobs?page-size=1000";
    let page = world.client.request("GET", path, None, &[]).await.json();
    let names_it = |job: &Json| {
        let ids = job["result"]["snapshot-ids"].as_array().into_iter().flatten();
        ids.chain([&job["result"]["pending"]["added-snapshot-id"]]).any(|id| *id == snapshot_id)
    };
    if page["jobs"].as_array().into_iter().flatten().any(names_it) {
        Ok(())
    } else {
        Err("no job reports it".to_owned())
    }
}

fn compare(found: &Rows, expected: &Rows) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let lost: Vec<_> = expected.iter().filter(|(id, version)| found.get(id) != Some(version)).collect();
    let wrong: Vec<_> = found.iter().filter(|(id, version)| expected.get(id) != Some(version)).collect();
    Err(format!("these rows are lost: {lost:?}; these should not be there: {wrong:?}"))
}

fn check_lineage(known: &mut HashMap<(i64, i64), (i64, i64)>, contents: &Contents) -> Result<(), String> {
    let mut known_ids = HashSet::new();
    for row in &contents.rows {
        let Some(lineage) = row.lineage else { continue };
        if !known_ids.insert(lineage.0) {
            return Err(format!("two rows have the id {}", lineage.0));
        }
        let before = *known.entry((row.id, row.version)).or_insert(lineage);
        if before != lineage {
            return Err(format!("the lineage of row {} was {before:?} and is {lineage:?}", row.id));
        }
    }
    Ok(())
}

/// Completes the simulation: workers finish the remaining jobs without faults, and all tables are compacted
/// and expired. Then checks that no unneeded files are left.
pub(super) async fn end(world: &Arc<World>) -> Result<(), String> {
    world.record("the end");
    let mut kinds = Vec::new();
    for table in &mut world.states.lock().await.tables {
        if let Some(pending) = table.pending.take() {
            writer::discard(&pending);
        }
        kinds.push(table.kind);
    }
    drain(world).await?;
    for kind in kinds {
        steps::remove_tag(world, kind).await?;
        steps::request_job(world, kind, "compact").await?;
        drain(world).await?;
        steps::request_job(world, kind, "expire-snapshots").await?;
        drain(world).await?;
    }
    all(world).await?;
    check_no_unneeded_files(world).await
}

/// Lets workers do jobs, without faults, until there are none left.
pub(super) async fn drain(world: &Arc<World>) -> Result<(), String> {
    for _ in 0..ROUNDS_MAX {
        world.expire_leases().await;
        world.move_clock(2 * DAY_MS);
        if steps::run_next_job(world, FaultPlan::None).await?.is_none() {
            return Ok(());
        }
    }
    Err("jobs never end".to_owned())
}

/// Checks that each file below the warehouse is needed by a table, or is recorded by the catalog as a file
/// that a job was going to write, or could not be deleted because of a simulated fault.
async fn check_no_unneeded_files(world: &World) -> Result<(), String> {
    let mut states = world.states.lock().await;
    let mut needed = world.recorded_outputs().await;
    needed.extend(world.undeletable_files());
    for number in 0..states.tables.len() {
        let kind = states.tables[number].kind;
        let whole = world.load_response(kind).await?;
        let document = &whole["metadata"];
        let log = document["metadata-log"].as_array().into_iter().flatten();
        let metadata = log.map(|entry| &entry["metadata-file"]).chain([&whole["metadata-location"]]);
        needed.extend(metadata.filter_map(Json::as_str).map(|location| local(location).to_owned()));
        for snapshot in document["snapshots"].as_array().into_iter().flatten() {
            let contents = states.reader.read(snapshot)?;
            needed.extend(contents.locations.iter().map(|location| local(location).to_owned()));
        }
    }
    let mut found = Vec::new();
    files(&world.warehouse, &mut found);
    // Metadata files that drop out of the metadata log are not deleted, except for tables with
    // `write.metadata.delete-after-commit.enabled`.
    let deletes_metadata = states.tables.iter().all(|table| table.kind.deletes_metadata);
    found.retain(|path| !needed.contains(path) && (deletes_metadata || !path.ends_with(".metadata.json")));
    if found.is_empty() { Ok(()) } else { Err(format!("no table needs these files: {found:#?}")) }
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
}
