//! Verification of the guarantees after a run: reads the current state and past instants through the server,
//! and compares both with the [`Ledger`].

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use table_core::metadata::table::TableMetadata;

use crate::fixture::{local, table_path, tables};
use crate::http::{Client, encode, try_send};

use super::ledger::{Change, Kind, Ledger, Outcome};
use super::{NAMESPACE, PAIR, SHARED_TABLE, SharedState};

/// State of the catalog at an instant, read shortly after it.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    at_ms: i64,
    state: VisibleState,
}

/// Visible effects of the changes, as sets of markers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct VisibleState {
    appends: BTreeSet<String>,
    properties: BTreeSet<String>,
    pair: [BTreeSet<String>; 2],
    tables: BTreeSet<String>,
}

/// Reads the state of the catalog at the current instant (catalog time travel) every 50 ms until the run is
/// stopped, and returns at most about `instants_max` of the observations, evenly spaced.
pub(super) async fn observe(
    shared: Arc<SharedState>,
    seed: u64,
    instants_max: usize,
) -> Result<Vec<Observation>, String> {
    let mut random = StdRng::seed_from_u64(seed ^ 0x0B5);
    let mut observations = Vec::new();
    while !shared.is_stopped() {
        let at_ms = shared.clock.now_ms();
        let past = shared.client(&mut random).at(&format!("main@{at_ms}"));
        if let Some(state) = read_state(&past).await? {
            observations.push(Observation { at_ms, state });
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let step = observations.len().div_ceil(instants_max.max(1)).max(1);
    Ok(observations.into_iter().step_by(step).collect())
}

/// Reads all visible effects; `None` if some request was not answered.
async fn read_state(client: &Client) -> Result<Option<VisibleState>, String> {
    let mut loaded = Vec::new();
    for name in [SHARED_TABLE, PAIR[0], PAIR[1]] {
        match read(client, &table_path(NAMESPACE, name)).await? {
            Some(body) => loaded.push(body),
            None => return Ok(None),
        }
    }
    let Some(listed) = read(client, &tables(NAMESPACE)).await? else { return Ok(None) };
    let names = listed["identifiers"].as_array().into_iter().flatten();
    let names = names.filter_map(|identifier| identifier["name"].as_str().map(str::to_owned));
    let properties = |body: &Value| {
        let keys =
            body["metadata"]["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned());
        keys.filter(|key| key.starts_with('w') && !key.contains('.')).collect::<BTreeSet<_>>()
    };
    let snapshots = loaded[0]["metadata"]["snapshots"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut appends = BTreeSet::new();
    for snapshot in snapshots {
        let marker = snapshot["summary"]["marker"].as_str().unwrap_or_default().to_owned();
        if !appends.insert(marker.clone()) {
            return Err(format!("the append `{marker}` is visible twice"));
        }
    }
    Ok(Some(VisibleState {
        appends,
        properties: properties(&loaded[0]),
        pair: [properties(&loaded[1]), properties(&loaded[2])],
        tables: names.filter(|name| name.contains('-')).collect(),
    }))
}

async fn read(client: &Client, path: &str) -> Result<Option<Value>, String> {
    match try_send("GET", &client.url(path), None, &[]).await {
        Ok(reply) if reply.status == 200 => Ok(Some(reply.json())),
        Ok(reply) if reply.status == 503 => Ok(None),
        // The instant may be slightly ahead of the clock of the database.
        Ok(reply) if reply.status == 400 && reply.text().contains("is in the future") => Ok(None),
        Ok(reply) => Err(format!("{path} was answered {}: {}", reply.status, reply.text())),
        Err(_) => Ok(None),
    }
}

/// Checks all guarantees on one server, and returns the numbers of checked instants and metadata files.
pub(super) async fn check(
    client: &Client,
    ledger: &Ledger,
    observations: &[Observation],
) -> Result<Vec<(String, u64)>, String> {
    let state = read_state(client).await?.ok_or("the server does not answer at the end")?;
    check_state(&state, ledger, None)?;
    for observation in observations {
        let past = client.at(&format!("main@{}", observation.at_ms));
        let repeated = read_state(&past).await?.ok_or("the server does not answer for the past")?;
        let at = observation.at_ms;
        if repeated != observation.state {
            return Err(format!(
                "the past at {at} has changed:\nthen {:?}\nnow {repeated:?}",
                observation.state
            ));
        }
        check_state(&repeated, ledger, Some(at)).map_err(|violation| format!("at {at}: {violation}"))?;
    }
    let mut files = 0;
    for name in &state.tables {
        files += check_metadata_log(client, name).await?;
    }
    for name in [SHARED_TABLE, PAIR[0], PAIR[1]] {
        files += check_metadata_log(client, name).await?;
    }
    Ok(vec![
        (
            format!("instants checked on {}", client.root()),
            u64::try_from(observations.len()).unwrap_or(u64::MAX),
        ),
        (format!("metadata files checked on {}", client.root()), files),
    ])
}

/// Returns `Some(true)` if a change must be visible, `Some(false)` if it must not, and `None` if both are
/// permitted, at an instant or, without `at_ms`, at the end.
fn must_be_visible(change: Change, at_ms: Option<i64>) -> Option<bool> {
    match (change.outcome, at_ms) {
        (Outcome::Refused, _) => Some(false),
        (_, Some(at_ms)) if change.started_ms > at_ms => Some(false),
        (Outcome::Acknowledged, Some(at_ms)) if change.ended_ms >= at_ms => None,
        (Outcome::Acknowledged, _) => Some(true),
        (Outcome::Unknown, _) => None,
    }
}

fn check_state(state: &VisibleState, ledger: &Ledger, at_ms: Option<i64>) -> Result<(), String> {
    if state.pair[0] != state.pair[1] {
        let partial: Vec<_> = state.pair[0].symmetric_difference(&state.pair[1]).collect();
        return Err(format!("transactions are partially visible: {partial:?}"));
    }
    for (kind, present) in [
        (Kind::Append, &state.appends),
        (Kind::Property, &state.properties),
        (Kind::Transaction, &state.pair[0]),
    ] {
        for (marker, change) in ledger.of(kind) {
            let is_visible = present.contains(marker);
            if must_be_visible(*change, at_ms).is_some_and(|must_be_visible| must_be_visible != is_visible) {
                return Err(format!("{kind:?} `{marker}` is visible: {is_visible}, but: {change:?}"));
            }
        }
        if let Some(unknown_marker) = present.iter().find(|marker| ledger.find(kind, marker).is_none()) {
            return Err(format!("{kind:?} `{unknown_marker}` is visible, but no writer requested it"));
        }
    }
    for (marker, created) in ledger.of(Kind::Create) {
        check_table(state, ledger, marker, *created, at_ms)?;
    }
    Ok(())
}

/// Checks that a table exists under its first name, under its second name, or was dropped, as the ledger
/// requires, and never under both names.
fn check_table(
    state: &VisibleState,
    ledger: &Ledger,
    marker: &str,
    created: Change,
    at_ms: Option<i64>,
) -> Result<(), String> {
    let (first, second) =
        (state.tables.contains(marker), state.tables.contains(&format!("renamed-{marker}")));
    let is_renamed =
        ledger.find(Kind::Rename, marker).map_or(Some(false), |change| must_be_visible(change, at_ms));
    let is_dropped =
        ledger.find(Kind::Drop, marker).map_or(Some(false), |change| must_be_visible(change, at_ms));
    let is_wrong = match (must_be_visible(created, at_ms), is_renamed, is_dropped) {
        _ if first && second => true,
        (Some(false), _, _) | (_, _, Some(true)) => first || second,
        (Some(true), Some(false), _) => !first || second,
        (Some(true), Some(true), Some(false)) => first || !second,
        (Some(true), None, Some(false)) => !(first || second),
        _ => false,
    };
    if !is_wrong {
        return Ok(());
    }
    Err(format!(
        "table `{marker}` is visible: {first}, renamed: {second}, but it was created: {created:?}, renamed: {:?}, dropped: {:?}",
        ledger.find(Kind::Rename, marker),
        ledger.find(Kind::Drop, marker)
    ))
}

/// Checks that the metadata files of all versions of a table exist and can be parsed, and that each extends
/// the metadata log of the previous one. Returns the number of versions.
async fn check_metadata_log(client: &Client, name: &str) -> Result<u64, String> {
    let path = format!("{}/{}", tables(NAMESPACE), encode(name));
    let body = read(client, &path).await?.ok_or_else(|| format!("`{name}` does not answer"))?;
    let current = body["metadata-location"].as_str().unwrap_or_default().to_owned();
    let mut files: Vec<_> = logged(&body["metadata"]);
    files.push(current);
    let mut before: Vec<String> = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let path = Path::new(local(file));
        let bytes =
            std::fs::read(path).map_err(|error| format!("version {number} of `{name}`, {file}: {error}"))?;
        let metadata =
            TableMetadata::parse(&bytes).map_err(|error| format!("{file} cannot be read: {error}"))?;
        let document: Value =
            serde_json::from_slice(&metadata.to_bytes()).map_err(|error| format!("{file}: {error}"))?;
        if logged(&document) != before {
            return Err(format!("version {number} of `{name}`, {file}, does not extend the previous one"));
        }
        let number_in_name =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('-').next());
        if number_in_name.and_then(|number| number.parse::<usize>().ok()) != Some(number) {
            return Err(format!("version {number} of `{name}` is named {file}"));
        }
        before.push(file.clone());
    }
    Ok(u64::try_from(files.len()).unwrap_or(u64::MAX))
}

fn logged(metadata: &Value) -> Vec<String> {
    let entries = metadata["metadata-log"].as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().filter_map(|entry| entry["metadata-file"].as_str().map(str::to_owned)).collect()
}
