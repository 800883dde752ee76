//! What the server prints when it is ready: what listens where, and how to connect, ready to be pasted.

use std::net::SocketAddr;

use catalog_server::catalog::warehouses::Warehouse;
use catalog_server::config::Config;

/// The text for a server at `address`.
pub fn banner(address: SocketAddr, config: &Config, warehouse: &Warehouse) -> String {
    let database = match &config.database_url {
        Some(url) if url.starts_with("postgres") => "PostgreSQL".to_owned(),
        _ => config.database_url(),
    };
    let (name, location) = (&warehouse.name, &warehouse.location);
    format!(
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

The catalog as it was at an instant, read-only: warehouse '{name}@2026-11-20T10:00:00Z'
",
        version = env!("CARGO_PKG_VERSION"),
    )
}
