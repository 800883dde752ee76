//! Measurements of the catalog: loads, commits, creations, pages of tables, start and memory.

use std::time::Duration;

use serde_json::{Value, json};
use tests::fixture;
use tests::process::{Backend, Firn, Setup};
use tokio::time::Instant;

use super::floor::{Floor, Kind};
use super::load;
use super::report::{Line, heading, median, print};
use super::{Options, commits, creation, pages};

/// Number of connections that load tables concurrently.
const CONNECTIONS: usize = 16;

/// Runs all measurements of the catalog that the options select.
///
/// # Errors
///
/// Fails if a reference server cannot be prepared or started, a request fails, or the files or the database
/// of the measurements cannot be accessed.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    println!("Ratios measured in turns in one run; {} turns of {} s a side.", options.turns, options.seconds);
    for backend in [Backend::Sqlite, Backend::Postgres] {
        if options.database.is_some_and(|selected| selected != backend) {
            continue;
        }
        heading(&format!("{backend:?}"));
        let setup = Setup::new(backend).await;
        let floor_url = prepare_floor(backend, &setup).await?;
        let firn = Firn::start(setup);
        firn.post("namespaces", &json!({ "namespace": ["bench"] })).await.expect(200);
        if options.is_selected("load") {
            loads(options, backend, &firn, &floor_url).await?;
        }
        if options.is_selected("commit") {
            commits::run(options, backend, &firn, &floor_url).await?;
        }
        if options.is_selected("creation") {
            creation::run(options, backend, &firn, &floor_url).await?;
        }
        if options.is_selected("page") {
            pages::run(options, backend, &firn, &floor_url).await?;
        }
        if options.is_selected("start") {
            start_and_memory(firn).await?;
        }
    }
    Ok(())
}

/// Creates the table of the reference server in its own database, of the same kind and in the same place as
/// Firn's, and returns the URL.
async fn prepare_floor(backend: Backend, setup: &Setup) -> anyhow::Result<String> {
    let create = "CREATE TABLE floor (namespace TEXT NOT NULL, name TEXT NOT NULL, location TEXT NOT NULL,
        PRIMARY KEY (namespace, name))";
    let fill = "INSERT INTO floor VALUES ($1, $2, $3)";
    let location =
        "file:///warehouse/bench/t/metadata/00000-00000000-0000-0000-0000-000000000000.metadata.json";
    match backend {
        Backend::Sqlite => {
            std::fs::create_dir_all(&setup.data_dir)?;
            let url = format!("sqlite://{}?mode=rwc", setup.data_dir.join("floor.db").display());
            let pool = sqlx::SqlitePool::connect(&url).await?;
            sqlx::query("PRAGMA journal_mode = WAL").execute(&pool).await?;
            sqlx::query(create).execute(&pool).await?;
            for number in 0..8 {
                sqlx::query(fill)
                    .bind("bench")
                    .bind(format!("t{number}"))
                    .bind(location)
                    .execute(&pool)
                    .await?;
            }
            pool.close().await;
            Ok(url)
        }
        Backend::Postgres => {
            let url = setup.database_url();
            let pool = sqlx::PgPool::connect(&url).await?;
            sqlx::query(create).execute(&pool).await?;
            for number in 0..8 {
                sqlx::query(fill)
                    .bind("bench")
                    .bind(format!("t{number}"))
                    .bind(location)
                    .execute(&pool)
                    .await?;
            }
            pool.close().await;
            Ok(url)
        }
    }
}

async fn loads(options: &Options, backend: Backend, firn: &Firn, floor_url: &str) -> anyhow::Result<()> {
    let lookup = match backend {
        Backend::Sqlite => Kind::Sqlite,
        Backend::Postgres => Kind::Postgres,
    };
    for (size, bytes) in [("10 KB", 10_000), ("1 MB", 1_000_000)] {
        let name = format!("load{bytes}");
        let created = create_sized(firn, &name, bytes).await;
        let response_bytes = created.to_string().len();
        let aims = match (backend, bytes) {
            (_, 1_000_000) => vec![(Kind::Bare, "bare handler", 0.8), (lookup, "one lookup", 0.8)],
            (Backend::Sqlite, _) => vec![(Kind::Bare, "bare handler", 0.5)],
            (Backend::Postgres, _) => vec![(Kind::Postgres, "one lookup", 0.6)],
        };
        for (kind, reference, aim) in aims {
            let floor = Floor::start(kind, response_bytes, floor_url)?;
            let firn_path = load::get(&format!("/v1/main/namespaces/bench/tables/{name}"));
            let floor_path = load::get("/v1/main/namespaces/bench/tables/t0");
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..options.turns {
                let request = floor_path.clone();
                theirs.push(
                    load::rate(floor.address, CONNECTIONS, options.turn(), move |_, _| request.clone())
                        .await?,
                );
                let request = firn_path.clone();
                let address = load::address(firn.root())?;
                ours.push(
                    load::rate(address, CONNECTIONS, options.turn(), move |_, _| request.clone()).await?,
                );
            }
            let line = format!("load, warm, {size}, against {reference}");
            print(&Line::rate(&line, median(ours), median(theirs), aim));
        }
    }
    Ok(())
}

/// Creates a table whose metadata has about this size; returns the response, which is the same as that of a
/// load.
pub async fn create_sized(firn: &Firn, name: &str, bytes: usize) -> Value {
    let mut request = fixture::table(name);
    let filler = "x".repeat(bytes.saturating_sub(900));
    // Limits the metadata log, so that the size of the metadata is independent of the number of commits.
    request["properties"] = json!({ "filler": filler, "write.metadata.previous-versions-max": "1" });
    firn.post("namespaces/bench/tables", &request).await.expect(200).json()
}

async fn start_and_memory(mut firn: Firn) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    let mut idle = 0;
    for _ in 0..5 {
        firn.stop();
        let start = Instant::now();
        firn.restart();
        firn.get("namespaces/bench").await.expect(200);
        starts.push(start.elapsed().as_secs_f64() * 1_000.0);
        tokio::time::sleep(Duration::from_millis(500)).await;
        idle = firn.resident_bytes();
    }
    print(&Line::cost("start to first answer, existing database", median(starts), 300.0, "ms", 1.0));
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    print(&Line::cost("memory when idle", idle as f64 / f64::from(1 << 20), 60.0, "MiB", 1.0));
    Ok(())
}
