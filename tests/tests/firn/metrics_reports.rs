//! Metrics reports of engines: validated, stored, and limited in number.

use catalog_server::store::catalog::{tabulars, warehouses};
use catalog_server::store::database;
use catalog_server::store::engine::options::DbOptions;
use catalog_server::store::events::reports;
use catalog_server::store::ids::WarehouseId;
use serde_json::{Value, json};
use tests::fixture;
use tests::process::{self, Backend, Firn, Setup};

use crate::endpoints::report;

fn scan() -> Value {
    json!({
        "report-type": "scan-report", "table-name": "t", "snapshot-id": 7, "filter": true, "schema-id": 0,
        "projected-field-ids": [1], "projected-field-names": ["id"],
        "metrics": { "total-planning-duration": { "count": 1, "time-unit": "nanoseconds", "total-duration": 26 } },
    })
}

async fn a_report_is_checked(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    fixture::create_table(firn, &ns, "t").await;
    let path = format!("{}/metrics", fixture::table_path(&ns, "t"));
    for whole in [scan(), report()] {
        firn.post(&path, &whole).await.expect(204);
        for field in whole.as_object().unwrap().keys() {
            let mut part = whole.clone();
            part.as_object_mut().unwrap().remove(field);
            firn.post(&path, &part).await.expect_error(
                400,
                "IllegalArgumentException",
                "Invalid metrics report",
            );
        }
    }
    let big = json!({ "report-type": "scan-report", "x": "x".repeat(300 << 10) });
    firn.post(&path, &big).await.expect_error(400, "IllegalArgumentException", "at most");
    let missing = firn.post(&format!("{}/metrics", fixture::table_path(&ns, "none")), &report()).await;
    missing.expect_error(404, "NoSuchTableException", "Table does not exist");
}

async fn the_newest_reports_of_a_table_are_kept(backend: Backend) {
    let mut firn = Firn::start(Setup::new(backend).await.with("FIRN_RETENTION__REPORTS_PER_TABLE", "3"));
    let ns = fixture::namespace(&firn).await;
    fixture::create_table(&firn, &ns, "t").await;
    let path = format!("{}/metrics", fixture::table_path(&ns, "t"));
    for snapshot_id in 1..=10 {
        let mut sent = report();
        sent["snapshot-id"] = json!(snapshot_id);
        firn.post(&path, &sent).await.expect(204);
    }
    firn.stop();
    let db = database::open(&firn.setup().database_url(), &DbOptions::default()).await.unwrap();
    let warehouse: WarehouseId = warehouses::find(&db, "main").await.unwrap().unwrap().warehouse_id;
    let table = tabulars::find(&db, warehouse, &ns, "t").await.unwrap().unwrap();
    let stored = reports::list(&db, table.tabular_id, None, 100).await.unwrap();
    let ids: Vec<_> = stored.iter().map(|report| report.snapshot_id).collect();
    assert_eq!(ids, [Some(10), Some(9), Some(8)]);
    let body: Value = serde_json::from_str(&stored[0].body).unwrap();
    assert_eq!(
        (body["report-type"].as_str(), body["snapshot-id"].as_i64()),
        (Some("commit-report"), Some(10))
    );
    db.close().await;
}

tests::on_both_databases!(a_report_is_checked, the_newest_reports_of_a_table_are_kept);
