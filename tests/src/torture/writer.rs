//! Writer of the torture test: small commits of all kinds, each with a unique marker.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::fixture::{self, append, change, commit, current_snapshot, rename, set_property, table_path};
use crate::http::{Client, Reply, try_send};

use super::ledger::{Change, Kind, Outcome};
use super::{NAMESPACE, PAIR, SHARED_TABLE, SharedState};

/// Maximum number of repetitions of a request with an idempotency key, while servers are killed and
/// restarted.
const REPEATS_MAX: u32 = 200;

/// Writes until the run is stopped. Fails on a response that a server must never send.
pub(super) async fn write(shared: Arc<SharedState>, number: u32, seed: u64) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64(seed ^ (u64::from(number) << 32));
    let mut round = 0;
    while !shared.is_stopped() {
        round += 1;
        let marker = format!("w{number}-{round}");
        match random.random_range(0..10) {
            0..=3 => append_to_shared_table(&shared, &mut random, number, round, &marker).await?,
            4 => set_property_of_shared_table(&shared, &mut random, &marker).await?,
            5..=7 => commit_transaction(&shared, &mut random, &marker).await?,
            _ => create_rename_drop(&shared, &mut random, &marker).await?,
        }
    }
    Ok(())
}

async fn append_to_shared_table(
    shared: &SharedState,
    random: &mut StdRng,
    number: u32,
    round: i64,
    marker: &str,
) -> Result<(), String> {
    let path = table_path(NAMESPACE, SHARED_TABLE);
    let Some(loaded) = load(&shared.client(random), &path).await? else { return Ok(()) };
    let metadata = &loaded["metadata"];
    let snapshot_id = (i64::from(number) + 1) * 1_000_000 + round;
    let head =
        json!({ "type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": current_snapshot(metadata) });
    let body = commit(&[head], &append(metadata, snapshot_id, marker));
    send(shared, random, Kind::Append, marker, "POST", &path, Some(body)).await.map(drop)
}

async fn set_property_of_shared_table(
    shared: &SharedState,
    random: &mut StdRng,
    marker: &str,
) -> Result<(), String> {
    let body = commit(&[], &[set_property(marker, "x")]);
    send(shared, random, Kind::Property, marker, "POST", &table_path(NAMESPACE, SHARED_TABLE), Some(body))
        .await
        .map(drop)
}

async fn commit_transaction(shared: &SharedState, random: &mut StdRng, marker: &str) -> Result<(), String> {
    let set = [set_property(marker, "x")];
    let mut changes: Vec<_> = PAIR.iter().map(|name| change(NAMESPACE, name, &[], &set)).collect();
    if random.random() {
        changes.reverse();
    }
    let body = json!({ "table-changes": changes });
    send(shared, random, Kind::Transaction, marker, "POST", "transactions/commit", Some(body)).await.map(drop)
}

/// Creates, renames and drops a table; each step is attempted only if the previous one was acknowledged.
async fn create_rename_drop(shared: &SharedState, random: &mut StdRng, marker: &str) -> Result<(), String> {
    let body = fixture::table(marker);
    let created =
        send(shared, random, Kind::Create, marker, "POST", &fixture::tables(NAMESPACE), Some(body)).await?;
    if created != Outcome::Acknowledged || random.random_ratio(1, 3) {
        return Ok(());
    }
    let new = format!("renamed-{marker}");
    let body = rename(NAMESPACE, marker, &new);
    let renamed = send(shared, random, Kind::Rename, marker, "POST", "tables/rename", Some(body)).await?;
    if renamed == Outcome::Acknowledged && random.random() {
        let path = format!("{}?purgeRequested={}", table_path(NAMESPACE, &new), random.random::<bool>());
        send(shared, random, Kind::Drop, marker, "DELETE", &path, None).await?;
    }
    Ok(())
}

/// Sends a change and records its outcome in the ledger. Half of the requests have an idempotency key and are
/// repeated until the outcome is known; for the others, it remains unknown if the response is lost.
async fn send(
    shared: &SharedState,
    random: &mut StdRng,
    kind: Kind,
    marker: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Result<Outcome, String> {
    let key = random.random::<bool>().then(|| catalog_server::id::random().to_string());
    let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
    let body = body.map(|body| body.to_string());
    let started_ms = shared.clock.now_ms();
    let mut repeats = 0;
    let outcome = loop {
        let url = shared.client(random).url(path);
        let reply = try_send(method, &url, body.clone(), &headers).await.ok();
        match outcome_of(kind, reply.as_ref())? {
            Outcome::Unknown if key.is_some() && repeats < REPEATS_MAX => {
                repeats += 1;
                wait_before_retry().await;
            }
            outcome => break outcome,
        }
    };
    let ended_ms = shared.clock.now_ms();
    shared.ledger().record(marker, Change { kind, outcome, started_ms, ended_ms, repeats });
    Ok(outcome)
}

fn outcome_of(kind: Kind, reply: Option<&Reply>) -> Result<Outcome, String> {
    let Some(reply) = reply else { return Ok(Outcome::Unknown) };
    match reply.status {
        200 | 204 => Ok(Outcome::Acknowledged),
        409 => Ok(Outcome::Refused),
        500 if reply.text().contains("CommitStateUnknownException") => Ok(Outcome::Unknown),
        503 | 504 => Ok(Outcome::Unknown),
        status => Err(format!("{kind:?} was answered {status}: {}", reply.text())),
    }
}

/// Loads a table; `None` if no server answers at the moment.
async fn load(client: &Client, path: &str) -> Result<Option<Value>, String> {
    match try_send("GET", &client.url(path), None, &[]).await {
        Ok(reply) if reply.status == 200 => Ok(Some(reply.json())),
        Ok(reply) if reply.status == 503 => Ok(None),
        Ok(reply) => Err(format!("a load was answered {}: {}", reply.status, reply.text())),
        Err(_) => {
            wait_before_retry().await;
            Ok(None)
        }
    }
}

/// Waits before the next attempt, as after a failed connection.
async fn wait_before_retry() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
