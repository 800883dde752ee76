//! Measurement of pages of tables: a page of a large namespace against a page of a small one, and pages for
//! several clients.

use serde_json::json;
use sqlx::{PgPool, SqlitePool};
use tests::process::{Backend, Firn};
use tokio::time::Instant;

use super::floor::{Floor, Kind};
use super::report::{Line, median, print};
use super::{Options, creation, load};

const PAGE: u32 = 1_000;
/// Number of clients that read pages concurrently.
const CLIENTS: usize = 8;
/// Number of pages read in each turn.
const READS: u32 = 20;

/// Measures the first page of a large namespace, and a page from its middle; then pages that several clients
/// read while nothing changes, and while tables are created.
///
/// # Errors
///
/// Fails if the database cannot be filled, the reference server cannot be started, or a request fails.
pub async fn run(options: &Options, backend: Backend, firn: &Firn, floor_url: &str) -> anyhow::Result<()> {
    for (namespace, count) in [("few", PAGE), ("many", options.tables)] {
        firn.post("namespaces", &json!({ "namespace": [namespace] })).await.expect(200);
        fill(backend, &firn.setup().database_url(), namespace, count).await?;
    }
    let middle = {
        // Page tokens are opaque, so the preceding pages have to be read to reach the middle.
        let mut token = String::new();
        for _ in 0..(options.tables / PAGE / 2).min(50) {
            let page = firn.get(&format!("namespaces/many/tables?pageSize=10000&pageToken={token}")).await;
            let page = page.expect(200).json();
            page["next-page-token"].as_str().unwrap_or_default().clone_into(&mut token);
        }
        token
    };
    let few = format!("/v1/main/namespaces/few/tables?pageSize={PAGE}&pageToken=");
    let many = format!("/v1/main/namespaces/many/tables?pageSize={PAGE}&pageToken=");
    for (name, path) in [("first", many.clone()), ("middle", format!("{many}{middle}"))] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.turns {
            theirs.push(read(firn, &few).await?);
            ours.push(read(firn, &path).await?);
        }
        let line = format!("page of {PAGE}, {name} of {}, against of {PAGE}", options.tables);
        print(&Line::cost(&line, median(ours), median(theirs), "ms", 2.0));
    }
    for (name, namespace, aim) in [("unchanged", "few", 0.1), ("changing", "changing", 0.02)] {
        if namespace == "changing" {
            firn.post("namespaces", &json!({ "namespace": [namespace] })).await.expect(200);
            fill(backend, &firn.setup().database_url(), namespace, PAGE).await?;
        }
        let page = format!("/v1/main/namespaces/{namespace}/tables?pageSize={PAGE}&pageToken=");
        rates(options, firn, floor_url, (name, &page, aim)).await?;
    }
    Ok(())
}

/// Measures pages for several clients. The page of a namespace called `changing` is read by all of them but one,
/// which creates tables meanwhile.
async fn rates(
    options: &Options,
    firn: &Firn,
    floor_url: &str,
    (name, path, aim): (&str, &str, f64),
) -> anyhow::Result<()> {
    let address = load::address(firn.root())?;
    let (_, bytes) = load::Connection::open(address).await?.send(&load::get(path)).await?;
    let floor = Floor::start(Kind::Bare, bytes, floor_url)?;
    let floor_request = load::get("/v1/main/namespaces/bench/tables/t0");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.turns {
        let request = floor_request.clone();
        theirs.push(load::rate(floor.address, CLIENTS, options.turn(), move |_, _| request.clone()).await?);
        let request = load::get(path);
        let pages = load::rate(address, CLIENTS, options.turn(), move |_, _| request.clone());
        let creations = async {
            if name == "changing" {
                creation::rate(firn, "changing", 1, options.turn()).await
            } else {
                Ok(0.0)
            }
        };
        let (pages, created) = tokio::join!(pages, creations);
        created?;
        ours.push(pages?);
    }
    let line = format!("page of {PAGE}, {CLIENTS} clients, {name}, against bare handler");
    print(&Line::rate(&line, median(ours), median(theirs), aim));
    Ok(())
}

async fn read(firn: &Firn, path: &str) -> anyhow::Result<f64> {
    let mut connection = load::Connection::open(load::address(firn.root())?).await?;
    let request = load::get(path);
    let start = Instant::now();
    for _ in 0..READS {
        let (status, _) = connection.send(&request).await?;
        anyhow::ensure!(status == 200, "status {status}");
    }
    Ok(start.elapsed().as_secs_f64() * 1_000.0 / f64::from(READS))
}

/// Fills a namespace directly in the database: a million requests would take longer than all measurements.
async fn fill(backend: Backend, url: &str, namespace: &str, count: u32) -> anyhow::Result<()> {
    const SQLITE: &str = "
        WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $2)
        INSERT INTO tabulars (tabular_id, warehouse_id, namespace_id, kind, name, metadata_location, table_uuid,
                              location, created_ms, updated_ms)
        SELECT randomblob(16), warehouse_id, namespace_id, 'table', printf('table_%07d', n),
               'file:///none/metadata/0.metadata.json', randomblob(16), 'file:///none', 0, 0
        FROM namespaces, numbers WHERE path = $1";
    const POSTGRES: &str = "
        INSERT INTO tabulars (tabular_id, warehouse_id, namespace_id, kind, name, metadata_location, table_uuid,
                              location, created_ms, updated_ms)
        SELECT gen_random_uuid(), warehouse_id, namespace_id, 'table', 'table_' || lpad(n::text, 7, '0'),
               'file:///none/metadata/0.metadata.json', gen_random_uuid(), 'file:///none', 0, 0
        FROM namespaces, generate_series(1, $2) AS n WHERE path = $1";
    match backend {
        Backend::Sqlite => {
            let pool = SqlitePool::connect(url).await?;
            sqlx::query(SQLITE).bind(namespace).bind(count).execute(&pool).await?;
            pool.close().await;
        }
        Backend::Postgres => {
            let pool = PgPool::connect(url).await?;
            sqlx::query(POSTGRES).bind(namespace).bind(i64::from(count)).execute(&pool).await?;
            sqlx::query("ANALYZE tabulars").execute(&pool).await?;
            pool.close().await;
        }
    }
    Ok(())
}
