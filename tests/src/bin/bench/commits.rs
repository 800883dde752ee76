//! Measurement of commits, compared with a loop of the same file write and one database commit.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgPool, SqlitePool};
use tests::process::{Backend, Firn};
use tokio::time::Instant;

use super::catalog::create_sized;
use super::report::{Line, median, print};
use super::{Options, load};

/// Number of concurrent writers.
pub const WRITERS: usize = 8;
const DOCUMENT_BYTES: usize = 10_000;

/// Database of the reference.
#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Loop of writing a file and committing its location.
pub struct Reference {
    pool: Pool,
    folder: PathBuf,
}

/// Measures commits of one writer, of several writers, and on a table with a long history.
///
/// # Errors
///
/// Fails if the reference's database or files cannot be written, or a request fails.
pub async fn run(options: &Options, backend: Backend, firn: &Firn, floor_url: &str) -> anyhow::Result<()> {
    let reference = Reference::open(backend, firn, floor_url).await?;
    for number in 0..WRITERS {
        create_sized(firn, &format!("t{number}"), DOCUMENT_BYTES).await;
    }
    let mut alone_rate = f64::NAN;
    for (name, writers) in [("commit, alone", 1), ("commit, 8 writers on 8 tables", WRITERS)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.turns {
            theirs.push(reference.rate(writers, options.turn()).await?);
            ours.push(firn_rate(firn, writers, options.turn(), |writer| format!("t{writer}")).await?);
        }
        let rate = median(ours);
        if writers == 1 {
            alone_rate = rate;
        }
        print(&Line::rate(&format!("{name}, against write + commit"), rate, median(theirs), 0.5));
    }
    let mut ours = Vec::new();
    for _ in 0..options.turns {
        ours.push(firn_rate(firn, WRITERS, options.turn(), |_| "t0".to_owned()).await?);
    }
    print(&Line::rate("commit, 8 writers on 1 table, against alone", median(ours), alone_rate, 0.8));
    history(options, firn, &reference.folder).await
}

impl Reference {
    /// Opens the database and the folder of the reference.
    ///
    /// # Errors
    ///
    /// Fails if the database cannot be opened or the folder cannot be created.
    pub async fn open(backend: Backend, firn: &Firn, floor_url: &str) -> anyhow::Result<Self> {
        let pool = match backend {
            Backend::Sqlite => {
                let settings =
                    SqliteConnectOptions::from_str(floor_url)?.synchronous(SqliteSynchronous::Full);
                // SQLite permits one writer at a time; with a pool of one connection, writers queue instead of
                // failing.
                Pool::Sqlite(SqlitePoolOptions::new().max_connections(1).connect_with(settings).await?)
            }
            Backend::Postgres => Pool::Postgres(PgPool::connect(floor_url).await?),
        };
        let folder = firn.setup().data_dir.join("floor-files");
        fs::create_dir_all(&folder)?;
        Ok(Self { pool, folder })
    }

    /// Returns the number of commits that so many loops make per second.
    ///
    /// # Errors
    ///
    /// Fails if a file or the database cannot be written.
    pub async fn rate(&self, writers: usize, duration: Duration) -> anyhow::Result<f64> {
        floor_rate(&self.pool, &self.folder, writers, duration).await
    }
}

async fn firn_rate(
    firn: &Firn,
    writers: usize,
    duration: Duration,
    table: impl Fn(usize) -> String + Send + Sync + 'static,
) -> anyhow::Result<f64> {
    let address = load::address(firn.root())?;
    load::rate(address, writers, duration, move |writer, turn| {
        let body = json!({ "requirements": [],
            "updates": [{ "action": "set-properties", "updates": { "turn": format!("{writer}-{turn}-{}", stamp()) } }] });
        load::post(&format!("/v1/main/namespaces/bench/tables/{}", table(writer)), &body.to_string())
    })
    .await
}

/// Returns a number that no commit has used yet. A commit without changes would be answered without a write.
fn stamp() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn floor_rate(pool: &Pool, folder: &Path, writers: usize, duration: Duration) -> anyhow::Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let start = Instant::now();
    let mut workers = Vec::new();
    for writer in 0..writers {
        let (pool, folder, stop) = (pool.clone(), folder.to_owned(), stop.clone());
        workers.push(tokio::spawn(async move {
            let mut done = 0_usize;
            while !stop.load(Ordering::Relaxed) {
                let path = folder.join(format!("{}.json", stamp()));
                write_file(path.clone(), DOCUMENT_BYTES).await?;
                commit(&pool, writer, &path.display().to_string()).await?;
                done += 1;
            }
            anyhow::Ok(done)
        }));
    }
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut done = 0;
    for worker in workers {
        done += worker.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// Writes and syncs a file and its folder, as every catalog must do whose commits survive a power cut.
async fn write_file(path: PathBuf, bytes: usize) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(move || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(&vec![b'x'; bytes])?;
        file.sync_all()?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    })
    .await??;
    Ok(())
}

async fn commit(pool: &Pool, writer: usize, location: &str) -> anyhow::Result<()> {
    const SQL: &str = "UPDATE floor SET location = $1 WHERE namespace = 'bench' AND name = $2";
    let name = format!("t{writer}");
    match pool {
        Pool::Sqlite(pool) => sqlx::query(SQL).bind(location).bind(name).execute(pool).await.map(drop)?,
        Pool::Postgres(pool) => sqlx::query(SQL).bind(location).bind(name).execute(pool).await.map(drop)?,
    }
    Ok(())
}

/// Measures commits on a table with many snapshots, compared with writing a file of the size of its metadata.
async fn history(options: &Options, firn: &Firn, folder: &Path) -> anyhow::Result<()> {
    let table = create_sized(firn, "history", 1_000).await;
    let location = table["metadata"]["location"].as_str().unwrap_or_default().to_owned();
    let snapshots: Vec<_> = (1..=i64::from(options.snapshots)).map(|id| snapshot(id, &location)).collect();
    for chunk in snapshots.chunks(2_000) {
        let updates: Vec<_> =
            chunk.iter().map(|snapshot| json!({ "action": "add-snapshot", "snapshot": snapshot })).collect();
        let body = json!({ "requirements": [], "updates": updates });
        firn.post("namespaces/bench/tables/history", &body).await.expect(200);
    }
    let bytes = firn.get("namespaces/bench/tables/history").await.expect(200).body.len();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.turns {
        let path = folder.join(format!("{}.json", stamp()));
        let start = Instant::now();
        write_file(path.clone(), bytes).await?;
        theirs.push(start.elapsed().as_secs_f64() * 1_000.0);
        fs::remove_file(path)?;
        let rate = firn_rate(firn, 1, options.turn(), |_| "history".to_owned()).await?;
        ours.push(1_000.0 / rate);
    }
    #[expect(clippy::cast_precision_loss, reason = "a measurement")]
    let megabytes = bytes as f64 / 1e6;
    let name = format!("commit, {} snapshots, against write of {megabytes:.1} MB", options.snapshots);
    print(&Line::cost(&name, median(ours), median(theirs), "ms", 3.0));
    Ok(())
}

fn snapshot(id: i64, location: &str) -> serde_json::Value {
    json!({
        "snapshot-id": id, "sequence-number": id, "timestamp-ms": 1_700_000_000_000_i64 + id, "schema-id": 0,
        "manifest-list": format!("{location}/metadata/snap-{id}-1-00000000-0000-0000-0000-{id:012}.avro"),
        "summary": { "operation": "append", "spark.app.id": "local-1700000000000", "added-data-files": "1",
            "added-records": "1000", "added-files-size": "123456", "changed-partition-count": "1",
            "total-records": (id * 1000).to_string(), "total-files-size": (id * 123_456).to_string(),
            "total-data-files": id.to_string(), "total-delete-files": "0", "total-position-deletes": "0",
            "total-equality-deletes": "0", "engine-version": "4.0.0", "engine-name": "spark",
            "app-id": "local-1700000000000", "iceberg-version": "Apache Iceberg 1.11.0" },
    })
}
