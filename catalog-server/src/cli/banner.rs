//! Banner that the server prints when it is ready: its addresses, and commands to paste for connecting with
//! common engines.

use std::fmt;
use std::net::SocketAddr;

use table_core::rewrite::policy::MaintenancePolicy;
use table_core::text;

/// Banner of a server.
pub struct StartBanner {
    /// Address at which the server listens.
    pub address: SocketAddr,
    /// Kind or URL of the database, without credentials.
    pub database: String,
    /// Name of the default warehouse.
    pub warehouse: String,
    /// Location of the default warehouse.
    pub location: String,
    /// Number of maintenance workers in the server.
    pub workers: u32,
    /// Minutes for which the catalog can be read as it was; 0 if it cannot.
    pub time_travel_minutes: u32,
}

impl fmt::Display for StartBanner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartBanner { address, database, warehouse: name, location, .. } = self;
        write!(
            out,
            "\
Firn {version} is ready.

  Iceberg REST   http://{address}
  Warehouse      {name} at {location}
  Database       {database}
  Health         http://{address}/health/ready
  Metrics        http://{address}/metrics
  OpenAPI        http://{address}/openapi.json

PyIceberg    pip install 'pyiceberg[pyarrow]'

    from pyiceberg.catalog import load_catalog
    catalog = load_catalog('firn', type='rest', uri='http://{address}')
    catalog.create_namespace_if_not_exists('demo')
    print(catalog.list_namespaces())

DuckDB

    INSTALL iceberg; LOAD iceberg;
    ATTACH '{name}' AS firn (TYPE iceberg, ENDPOINT 'http://{address}', AUTHORIZATION_TYPE 'none');
    CREATE SCHEMA IF NOT EXISTS firn.demo;
    CREATE TABLE firn.demo.numbers AS SELECT range AS n FROM range(10);
    SELECT sum(n) FROM firn.demo.numbers;

Spark

    spark-sql --packages org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.11.0 \\
      --conf spark.sql.extensions=org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions \\
      --conf spark.sql.catalog.firn=org.apache.iceberg.spark.SparkCatalog \\
      --conf spark.sql.catalog.firn.type=rest \\
      --conf spark.sql.catalog.firn.uri=http://{address}

{maintenance}
Read-only catalog as of an instant: warehouse '{name}@2026-11-20T10:00:00Z'
",
            version = env!("CARGO_PKG_VERSION"),
            maintenance = maintenance(self),
        )
    }
}

/// Returns the section on maintenance: its default behaviour, and how to change it.
fn maintenance(banner: &StartBanner) -> String {
    let StartBanner { address, warehouse, .. } = banner;
    let here = match banner.workers {
        0 => format!("no worker in this server; start one with: firn maintain --uri http://{address}"),
        workers => format!("{} in this server", text::count(workers, "worker", "workers")),
    };
    let horizon = match banner.time_travel_minutes {
        0 => String::new(),
        minutes => {
            let horizon = text::span(u64::from(minutes) * 60_000);
            format!(
                "\n    Snapshots of the last {horizon} are retained for time travel (retention.time-travel-minutes)."
            )
        }
    };
    let age = MaintenancePolicy::defaults()
        .expire_snapshots
        .snapshot_age_max_ms
        .map_or_else(String::new, text::span);
    format!(
        "\
Maintenance  {here}

    Small files are merged and deletes applied. A snapshot, and files that only it needs, are deleted {age} after it stopped
    being the head of a branch; those that a table was registered with are retained
    until a policy sets their age.{horizon}
    Explanation for a table: firn explain --uri http://{address} --table {warehouse}.demo.numbers
    Disable all actions: curl -X PUT 'http://{address}/governance/v1/maintenance/policy?warehouse={warehouse}' \\
      -H 'content-type: application/json' -d '{{\"compact\":{{\"enabled\":false}},\"expire-snapshots\":{{\"enabled\":false}},\
\"rewrite-manifests\":{{\"enabled\":false}}}}'
    Disable workers: FIRN_MAINTENANCE__WORKERS=0
"
    )
}
