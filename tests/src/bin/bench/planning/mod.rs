//! Measurement of scan planning for a large table, compared with Iceberg's libraries and with only reading
//! the manifests.

mod library;
mod manifests;
mod remote;
mod table;
mod walk;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};
use tests::process::{Backend, Firn, Setup};

use self::library::Library;
use self::table::{NAMESPACE, Search, Table};
use super::report::{Line, heading, median, print};

/// Number of rounds after which a library is considered warm.
const WARM_UP_ROUNDS: usize = 3;
/// Number of data files in each manifest of a growing table.
const FILES_PER_MANIFEST: u32 = 5_000;
/// Maximum memory that planning should take for a table of any size, in MiB.
const MEMORY_AIM_MIB: f64 = 300.0;

/// Selection and size of the measurements.
#[derive(Args, Clone)]
pub struct Options {
    /// Number of data files of the table
    #[arg(long, default_value_t = 100_000)]
    files: u32,
    /// Number of manifests of the table
    #[arg(long, default_value_t = 200)]
    manifests: u32,
    /// Number of turns for each side of a measurement
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Numbers of data files of the tables whose full scans are compared in time and memory
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    growth: Vec<u32>,
    /// Part of the names of the measurements to run: floor, pyiceberg, java or growth
    #[arg(long, default_value = "")]
    only: String,
}

impl Options {
    fn is_selected(&self, name: &str) -> bool {
        name.contains(&self.only)
    }
}

/// Runs all selected measurements.
///
/// # Errors
///
/// Fails if a table cannot be written, a process cannot be started, a request fails, or a plan has a wrong
/// number of files.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    println!("Ratios measured in turns in one run; {} turns a side.", options.turns);
    if ["floor", "pyiceberg", "java"].iter().any(|name| options.is_selected(name)) {
        scans(options).await?;
    }
    if options.is_selected("growth") {
        growth(options).await?;
    }
    Ok(())
}

async fn start() -> Firn {
    let firn = Firn::start(Setup::new(Backend::Sqlite).await);
    firn.post("namespaces", &json!({ "namespace": [NAMESPACE] })).await.expect(200);
    firn
}

async fn scans(options: &Options) -> anyhow::Result<()> {
    let mut firn = start().await;
    let table = Table::create(&firn, "large", options.files, options.manifests).await?;
    heading(&format!("{} files in {} manifests", options.files, options.manifests));
    for (search, name) in Search::ALL {
        if options.is_selected("floor") {
            cold(options, &mut firn, &table, search, name).await?;
        }
        warm(options, &firn, &table, search, name).await?;
    }
    Ok(())
}

/// Measures with empty caches of the server; the files are in the operating system's page cache.
async fn cold(
    options: &Options,
    firn: &mut Firn,
    table: &Table,
    search: Search,
    name: &str,
) -> anyhow::Result<()> {
    let manifests = table.paths(search);
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..options.turns {
        floor.push(walk::walk(&manifests)?);
        firn.restart();
        ours.push(plan(firn, table, search).await?);
    }
    print(&Line::speed(&format!("{name}, cold, against floor"), median(ours), median(floor), 0.5));
    Ok(())
}

async fn warm(
    options: &Options,
    firn: &Firn,
    table: &Table,
    search: Search,
    name: &str,
) -> anyhow::Result<()> {
    let manifests = table.paths(search);
    let text = json!({ "table": [NAMESPACE, table.name], "filter": search.text(table.files) });
    let mut filter = json!({ "op": "count", "table": [NAMESPACE, table.name] });
    if let Some(expression) = search.filter(table.files) {
        filter["filter"] = expression;
    }
    let mut libraries = Vec::new();
    for (library_name, label, script, request, aim) in [
        ("pyiceberg", "PyIceberg", "clients/plan-counts", &text, 10.0),
        ("java", "Java", "rck/plan-oracle", &filter, 3.0),
    ] {
        if options.is_selected(library_name) {
            let mut library = Library::start(script, firn)?;
            for _ in 0..WARM_UP_ROUNDS {
                count(&mut library, request, table, search)?;
            }
            libraries.push((label, library, request, aim, Vec::new()));
        }
    }
    plan(firn, table, search).await?;
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..options.turns {
        ours.push(plan(firn, table, search).await?);
        if options.is_selected("floor") {
            floor.push(walk::walk(&manifests)?);
        }
        for (_, library, request, _, times) in &mut libraries {
            times.push(count(library, request, table, search)?);
        }
    }
    let ours = median(ours);
    if options.is_selected("floor") {
        print(&Line::speed(&format!("{name}, warm, against floor"), ours, median(floor), 0.5));
    }
    for (label, _, _, aim, times) in libraries {
        print(&Line::speed(&format!("{name}, warm, against {label}"), ours, median(times), aim));
    }
    Ok(())
}

async fn plan(firn: &Firn, table: &Table, search: Search) -> anyhow::Result<f64> {
    let result = remote::plan(firn, &table.name, search.filter(table.files).as_ref()).await?;
    check(result.files, table, search)?;
    Ok(result.elapsed_ms)
}

fn count(library: &mut Library, request: &Value, table: &Table, search: Search) -> anyhow::Result<f64> {
    let (files, elapsed_ms) = library.count(request)?;
    check(files, table, search)?;
    Ok(elapsed_ms)
}

fn check(files: usize, table: &Table, search: Search) -> anyhow::Result<()> {
    let expected = table.count(search);
    ensure!(files == expected, "{files} files were planned, but {expected} match");
    Ok(())
}

/// Measures full scans of tables of increasing size, each with a new server.
async fn growth(options: &Options) -> anyhow::Result<()> {
    heading(&format!("{FILES_PER_MANIFEST} files in each manifest"));
    let mut first = f64::NAN;
    for files in &options.growth {
        let mut firn = start().await;
        let table = Table::create(&firn, "growing", *files, files.div_ceil(FILES_PER_MANIFEST)).await?;
        let mut times = Vec::new();
        let mut peaks = Vec::new();
        for _ in 0..options.turns {
            firn.restart();
            times.push(plan(&firn, &table, Search::Full).await? * 1_000.0 / f64::from(*files));
            #[expect(clippy::cast_precision_loss, reason = "a measurement")]
            peaks.push(firn.peak_resident_bytes() as f64 / f64::from(1 << 20));
        }
        let time = median(times);
        if first.is_nan() {
            first = time;
        }
        print(&Line::cost(
            &format!("{files} files, cold, time a file, against first"),
            time,
            first,
            "µs",
            1.5,
        ));
        print(&Line::cost(
            &format!("{files} files, cold, peak memory"),
            median(peaks),
            MEMORY_AIM_MIB,
            "MiB",
            1.0,
        ));
    }
    Ok(())
}
