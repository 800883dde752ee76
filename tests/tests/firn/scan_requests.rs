//! Requests of scan plans in the exact form of the client: numbers with all digits, filters of any shape,
//! NaN; and the influence of large requests on those of others.

use std::time::Duration;

use catalog_server::clock::Stopwatch;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use table_core::expr::decimal::Decimal;
use table_core::expr::value::Value as Single;
use tests::fixture::{self, table_path};
use tests::http::{Client, Reply};
use tests::manifests::{self, Column};
use tests::process::{self, Backend, Firn, Setup};

use crate::endpoints::report;

/// Creates a table with the columns `double` (field id 1), `decimal(38, 0)` (2) and `long` (3), and with
/// these data files; returns its path.
async fn table(client: &Client, files: Vec<Column>) -> String {
    let ns = fixture::namespace(client).await;
    let columns = [(1, "d", "double"), (2, "n", "decimal(38, 0)"), (3, "l", "long")];
    let fields =
        columns.map(|(id, name, kind)| json!({ "id": id, "name": name, "required": false, "type": kind }));
    let schema = json!({ "type": "struct", "schema-id": 0, "fields": fields });
    client.post(&fixture::tables(&ns), &json!({ "name": "t", "schema": schema })).await.expect(200);
    let path = table_path(&ns, "t");
    manifests::append_columns(client, &path, 1, files).await;
    path
}

/// Returns the metrics of a data file in which all values of a column are equal to this one.
fn equal_values(id: i32, value: &Single) -> Column {
    Column { id, lower: value.encode(), upper: value.encode(), nans: Some(0) }
}

async fn plan(client: &Client, path: &str, filter: &str) -> Reply {
    let request = format!(r#"{{"filter":{filter}}}"#);
    client.send("POST", &format!("{path}/plan"), Some(request), &[]).await
}

/// Plans a scan, and returns the numbers of the planned files.
async fn files(client: &Client, path: &str, filter: &str) -> Vec<usize> {
    let plan = plan(client, path, filter).await.expect(200).json();
    let tasks = plan["file-scan-tasks"].as_array().unwrap().iter();
    let name = |task: &Value| {
        let path = task["data-file"]["file-path"].as_str().unwrap().to_owned();
        path.rsplit_once('/').unwrap().1.trim_end_matches(".parquet").parse().unwrap()
    };
    tasks.map(name).collect()
}

fn seed() -> (u64, StdRng) {
    let seed = rand::random();
    (seed, StdRng::seed_from_u64(seed))
}

async fn every_number_finds_its_file(backend: Backend) {
    let firn = process::shared(backend).await;
    let (seed, mut random) = seed();
    let mut doubles = vec![182.199_165_862_635_25, 0.1, 5e-324, f64::MAX, 9_007_199_254_740_993.0];
    while doubles.len() < 60 {
        doubles.extend(Some(f64::from_bits(random.random())).filter(|double| double.is_finite()));
    }
    let mut decimals =
        vec![12_345_678_901_234_567_890_123, -(10_i128.pow(38) - 1), 9_223_372_036_854_775_808];
    decimals.extend((0..20).map(|_| random.random_range(-(10_i128.pow(38) - 1)..10_i128.pow(38))));
    let singles = doubles.iter().map(|double| equal_values(1, &Single::Double(*double)));
    let double_path = table(firn, singles.collect()).await;
    for (number, double) in doubles.iter().enumerate() {
        for written in [format!("{double:?}"), format!("{double:e}"), format!("{double:.20e}")] {
            let filter = format!(r#"{{"type":"eq","term":"d","value":{written}}}"#);
            let found = files(firn, &double_path, &filter).await;
            assert!(found.contains(&number), "seed {seed}: `{written}` finds {found:?}, not {number}");
        }
        let response =
            plan(firn, &double_path, &format!(r#"{{"type":"lt-eq","term":"d","value":{double:?}}}"#)).await;
        let response = response.text();
        let residual =
            response.split_once(r#""residual-filter":{"type":"lt-eq","term":"d","value":"#).unwrap().1;
        let parsed: f64 = residual.split_once('}').unwrap().0.parse().unwrap();
        assert_eq!(parsed.to_bits(), double.to_bits(), "seed {seed}: {double:?} is returned as {parsed:?}");
    }
    let single = |unscaled: &i128| Single::Decimal(Decimal { unscaled: *unscaled, scale: 0 });
    let decimal_path =
        table(firn, decimals.iter().map(|unscaled| equal_values(2, &single(unscaled))).collect()).await;
    for (number, unscaled) in decimals.iter().enumerate() {
        for written in [format!("{unscaled}"), format!("{unscaled}.0"), format!("{unscaled}0e-1")] {
            let filter = format!(r#"{{"type":"eq","term":"n","value":{written}}}"#);
            let found = files(firn, &decimal_path, &filter).await;
            assert_eq!(found, [number], "seed {seed}: `{written}`");
        }
    }
}

/// Returns a filter with this number of nested operations.
fn nested(levels: usize, operation: impl Fn(usize) -> &'static str) -> String {
    let leaf = |number: usize| format!(r#"{{"type":"eq","term":"l","value":{number}}}"#);
    let front = (0..levels)
        .map(|level| format!(r#"{{"type":"{}","left":{},"right":"#, operation(level), leaf(level)));
    format!("{}{}{}", front.collect::<String>(), leaf(levels), "}".repeat(levels))
}

async fn filters_may_be_long_and_deep(backend: Backend) {
    let firn = process::shared(backend).await;
    let path =
        table(firn, vec![equal_values(3, &Single::Long(126)), equal_values(3, &Single::Long(-1))]).await;
    let alternating = |level: usize| if level.is_multiple_of(2) { "or" } else { "and" };
    for (filter, status) in [
        (nested(127, |_| "or"), 200),
        (nested(5_000, |_| "or"), 200),
        (nested(5_000, |_| "and"), 200),
        (nested(100, alternating), 200),
        (nested(101, alternating), 400),
        (nested(100_000, alternating), 400),
    ] {
        let reply = plan(firn, &path, &filter).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        // Clients that plan scans themselves send the filter in a scan report.
        let mut scan = report();
        let scan = scan.as_object_mut().unwrap();
        scan.extend([("report-type".to_owned(), json!("scan-report")), ("schema-id".to_owned(), json!(0))]);
        scan.extend(
            ["projected-field-ids", "projected-field-names"].map(|name| (name.to_owned(), json!([]))),
        );
        let scan = json!(scan).to_string();
        let body = format!(r#"{},"filter":{filter}}}"#, scan.strip_suffix('}').unwrap());
        if body.len() < 200 << 10 {
            firn.send("POST", &format!("{path}/metrics"), Some(body), &[]).await.expect(204);
        }
    }
    assert_eq!(files(firn, &path, &nested(127, |_| "or")).await, [0]);
    assert_eq!(files(firn, &path, &nested(127, |_| "and")).await, [0_usize; 0]);
    firn.check_no_panic();
}

async fn nan_may_be_greater_than_everything(backend: Backend) {
    let firn = process::shared(backend).await;
    let one = Single::Double(1.0).encode();
    let file = |nans| Column { id: 1, lower: one.clone(), upper: one.clone(), nans };
    let path = table(firn, vec![file(Some(1)), file(Some(0)), file(None)]).await;
    for (filter, expected) in [
        (r#"{"type":"gt","term":"d","value":5.0}"#, vec![0, 2]),
        (r#"{"type":"gt-eq","term":"d","value":5}"#, vec![0, 2]),
        (r#"{"type":"not","child":{"type":"lt-eq","term":"d","value":5.0}}"#, vec![0, 2]),
        (r#"{"type":"not","child":{"type":"gt","term":"d","value":0.5}}"#, vec![0, 2]),
        (r#"{"type":"lt","term":"d","value":0.5}"#, vec![]),
        (r#"{"type":"eq","term":"d","value":5.0}"#, vec![]),
        // The number of nulls is unknown.
        (r#"{"type":"not-eq","term":"d","value":1.0}"#, vec![0, 1, 2]),
        (r#"{"type":"is-nan","term":"d"}"#, vec![0, 2]),
    ] {
        assert_eq!(files(firn, &path, filter).await, expected, "{filter}");
    }
}

async fn a_complete_plan_has_an_id_and_can_be_cancelled(backend: Backend) {
    let firn = process::shared(backend).await;
    let (path, other) = (table(firn, Vec::new()).await, table(firn, Vec::new()).await);
    let planned = plan(firn, &path, "true").await.expect(200).json();
    assert_eq!(planned["status"], "completed");
    let id = planned["plan-id"].as_str().unwrap();
    assert_ne!(plan(firn, &path, "true").await.json()["plan-id"], id);
    for _ in 0..2 {
        firn.delete(&format!("{path}/plan/{id}")).await.expect(204);
    }
    // The response contains the complete plan.
    firn.get(&format!("{path}/plan/{id}")).await.expect_error(
        404,
        "NoSuchPlanIdException",
        "plan the scan again",
    );
    firn.delete(&format!("{other}/plan/{id}")).await.expect_error(404, "NoSuchPlanIdException", id);
    let changed = id.replace(|digit: char| digit.is_ascii_digit() && digit != '8', "7");
    firn.delete(&format!("{path}/plan/{changed}")).await.expect_error(
        404,
        "NoSuchPlanIdException",
        "plan the scan",
    );

    let prefer = [("prefer", "respond-async")];
    let submitted = firn.send("POST", &format!("{path}/plan"), Some("{}".to_owned()), &prefer).await;
    let id = submitted.expect(200).json()["plan-id"].clone();
    let completed = firn.get(&format!("{path}/plan/{}", id.as_str().unwrap())).await.expect(200).json();
    assert_eq!((&completed["status"], &completed["plan-id"]), (&json!("completed"), &id));
}

tests::on_both_databases!(
    every_number_finds_its_file,
    filters_may_be_long_and_deep,
    nan_may_be_greater_than_everything,
    a_complete_plan_has_an_id_and_can_be_cancelled,
);

/// Returns a filter with this number of values of seven digits.
fn numbers(first: usize, count: usize) -> String {
    let values: Vec<_> = (0..count).map(|number| (1_000_000 + first + number).to_string()).collect();
    format!(r#"{{"type":"in","term":"l","values":[{}]}}"#, values.join(","))
}

#[test]
fn many_long_filters_take_no_more_memory_than_allowed() {
    process::run(async {
        let setup = Setup::new(Backend::Sqlite).await.with("FIRN_PLANNING__MEMORY_BYTES", "67108864");
        let firn = Firn::start(setup);
        let path = table(&firn, vec![equal_values(3, &Single::Long(1))]).await;
        plan(&firn, &path, &numbers(0, 10)).await.expect(200);
        let before = firn.resident_bytes();
        // Filters of two megabytes each, several at the same time.
        for round in 0..8 {
            let filters: Vec<_> = (0..3).map(|number| numbers(10 * round + number, 250_000)).collect();
            let plans = send_all(&firn, &path, &filters).await;
            assert!(plans.iter().all(|reply| reply.status == 200));
        }
        let grown = firn.peak_resident_bytes().saturating_sub(before);
        // The limit covers cached filters, filters in progress, and the bodies; 24 such plans once took half
        // a gigabyte.
        assert!(grown < 300 << 20, "{grown} bytes more for 24 plans of 2 MB");
    });
}

async fn send_all(firn: &Firn, path: &str, filters: &[String]) -> Vec<Reply> {
    let mut plans = tokio::task::JoinSet::new();
    for filter in filters {
        let (client, path, filter) = (Client::clone(firn), path.to_owned(), filter.clone());
        plans.spawn(async move { plan(&client, &path, &filter).await });
    }
    plans.join_all().await
}

#[test]
fn long_filters_do_not_delay_other_requests() {
    process::run(async {
        let firn = Firn::start(Setup::new(Backend::Sqlite).await);
        let path = table(&firn, vec![equal_values(3, &Single::Long(1))]).await;
        let filters: Vec<_> = (0..4).map(|number| numbers(number, 500_000)).collect();
        let mut plans = std::pin::pin!(send_all(&firn, &path, &filters));
        let mut waits = Vec::new();
        let replies = loop {
            let asked = Stopwatch::start();
            tokio::select! {
                replies = &mut plans => break replies,
                reply = firn.request("GET", "/health/live", None, &[]) => {
                    reply.expect(200);
                    waits.push(asked.elapsed());
                }
            }
        };
        assert!(replies.iter().all(|reply| reply.status == 200));
        waits.sort_unstable();
        // If the work were done on the threads that answer requests, the requests would have been few, and
        // each would have waited for all of the work.
        assert!(waits.len() > 20, "{waits:?}");
        assert!(waits[waits.len() / 2] < Duration::from_millis(100), "{waits:?}");
        assert!(waits[waits.len() * 95 / 100] < Duration::from_millis(500), "{waits:?}");
    });
}

#[test]
fn bodies_above_the_memory_limit_are_refused_and_smaller_ones_accepted() {
    process::run(async {
        let setup = Setup::new(Backend::Sqlite).await.with("FIRN_LIMITS__BODIES_BYTES", "1048576");
        let firn = Firn::start(setup);
        let path = table(&firn, vec![equal_values(3, &Single::Long(1))]).await;
        let refused = plan(&firn, &path, &numbers(0, 500_000)).await;
        refused.expect_error(503, "ServiceUnavailableException", "limits.bodies-bytes");
        for _ in 0..3 {
            plan(&firn, &path, &numbers(0, 50_000)).await.expect(200);
        }
        plan(&firn, &path, "true").await.expect(200);
    });
}
