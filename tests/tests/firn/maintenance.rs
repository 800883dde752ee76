//! Maintenance API: policies and their scopes, jobs and their leases.

use serde_json::{Value, json};
use tests::fixture::{self, create_table};
use tests::http::{Client, Reply};
use tests::process::{self, Backend, Firn, Setup};

pub(crate) async fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let path = format!("/governance/v1/maintenance/{path}");
    client.request(method, &path, body.map(Value::to_string), &[]).await
}

pub(crate) async fn get(client: &Client, path: &str) -> Value {
    call(client, "GET", path, None).await.expect(200).json()
}

pub(crate) async fn post(client: &Client, path: &str, body: &Value) -> Reply {
    call(client, "POST", path, Some(body)).await
}

pub(crate) fn table_identifier(ns: &str, name: &str) -> Value {
    json!({ "warehouse": "main", "namespace": ns.split('\u{1f}').collect::<Vec<_>>(), "table": name })
}

pub(crate) fn scope(ns: &str, name: &str) -> String {
    format!("warehouse=main&namespace={}&table={name}", ns.replace('\u{1f}', "%1F"))
}

pub(crate) async fn queue(client: &Client, ns: &str, name: &str, action: &str) -> Value {
    let queued =
        post(client, "jobs", &json!({ "table": table_identifier(ns, name), "action": action })).await;
    queued.expect(200).json()
}

pub(crate) async fn lease(client: &Client, worker: &str) -> Value {
    post(client, "jobs/lease", &json!({ "worker": worker })).await.expect(200).json()
}

pub(crate) fn lease_of(leased: &Value) -> Value {
    json!({ "worker": leased["job"]["worker"], "attempt": leased["job"]["attempt"] })
}

pub(crate) fn job_path(leased: &Value, what: &str) -> String {
    format!("jobs/{}/{what}", leased["job"]["job-id"].as_str().unwrap())
}

async fn the_most_specific_policy_applies_and_is_named_as_the_source(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let child = format!("{ns}\u{1f}child");
    firn.post("namespaces", &json!({ "namespace": [ns, "child"] })).await.expect(200);
    create_table(&firn, &child, "t").await;
    let scope = scope(&child, "t");
    let sources = async || {
        let applicable = get(&firn, &format!("applicable-policy?{scope}")).await;
        let settings = applicable["settings"].as_array().unwrap().clone();
        let of = |name: &str| {
            let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
            (setting["value"].clone(), setting["source"].as_str().unwrap().to_owned())
        };
        [of("compact.enabled"), of("compact.inputs-min"), of("compact.delete-ratio")]
    };
    let default = |value: Value| (value, "default".to_owned());
    assert_eq!(sources().await, [default(json!(true)), default(json!(5)), default(json!(0.3))]);

    let encoded = child.replace('\u{1f}', "%1F");
    for (at, policy) in [
        (
            "warehouse=main".to_owned(),
            json!({ "compact": { "enabled": false, "inputs-min": 7, "delete-ratio": 0.5 } }),
        ),
        (
            format!("warehouse=main&namespace={ns}"),
            json!({ "compact": { "inputs-min": 8, "delete-ratio": 0.6 } }),
        ),
        (format!("warehouse=main&namespace={encoded}"), json!({ "compact": { "inputs-min": 9 } })),
        (scope.clone(), json!({ "compact": { "enabled": true } })),
    ] {
        let path = format!("policy?{at}");
        call(&firn, "GET", &path, None).await.expect_error(404, "NoSuchPolicyException", "itself");
        let put = call(&firn, "PUT", &path, Some(&policy)).await.expect(200).json();
        assert_eq!((&put["policy"], &put["version"]), (&policy, &json!(1)));
        assert_eq!(get(&firn, &path).await, put);
    }
    let parent = format!("namespace {ns}");
    let of_child = format!("namespace {ns}.child");
    assert_eq!(
        sources().await,
        [(json!(true), "table".to_owned()), (json!(9), of_child), (json!(0.6), parent)]
    );
    call(&firn, "DELETE", &format!("policy?{scope}"), None).await.expect(204);
    call(&firn, "DELETE", &format!("policy?{scope}"), None).await.expect_error(
        404,
        "NoSuchPolicyException",
        "table",
    );
    assert_eq!(sources().await[0], (json!(false), "warehouse".to_owned()));
}

async fn invalid_policies_are_refused_with_the_name_of_the_setting(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let path = format!("policy?{}", scope(&ns, "t"));
    for (policy, text) in [
        (json!({ "compact": { "target-bytes": 1 } }), "`compact.target-bytes` is 1, but must be from 1 MiB"),
        (json!({ "compact": { "taget-bytes": 1 } }), "unknown field `taget-bytes`"),
        (json!([1]), "not a maintenance policy"),
    ] {
        call(firn, "PUT", &path, Some(&policy)).await.expect_error(400, "IllegalArgumentException", text);
    }
    call(firn, "GET", &path, None).await.expect(404);
    for (scope, status, kind) in [
        (scope(&ns, "none"), 404, "NoSuchTableException"),
        ("warehouse=main&namespace=none_such".to_owned(), 404, "NoSuchNamespaceException"),
        ("warehouse=none".to_owned(), 404, "NoSuchWarehouseException"),
        ("warehouse=main&table=t".to_owned(), 400, "BadRequestException"),
        ("warehouse=main&tabel=t".to_owned(), 400, "BadRequestException"),
        (String::new(), 400, "BadRequestException"),
    ] {
        let reply = call(firn, "PUT", &format!("policy?{scope}"), Some(&json!({}))).await;
        assert_eq!((reply.status, reply.json()["error"]["type"].as_str()), (status, Some(kind)), "{scope}");
    }
    let once = json!({ "table": table_identifier(&ns, "t"), "action": "compact", "policy": { "compact": { "inputs-min": 0 } } });
    post(firn, "jobs", &once).await.expect_error(400, "BadRequestException", "`compact.inputs-min` is 0");
    let unknown = json!({ "table": table_identifier(&ns, "t"), "action": "polish" });
    post(firn, "jobs", &unknown).await.expect_error(400, "BadRequestException", "unknown variant `polish`");
}

async fn a_job_with_an_expired_lease_passes_to_another_worker(backend: Backend) {
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__LEASE_MS", "1"));
    let ns = fixture::namespace(&firn).await;
    let created = create_table(&firn, &ns, "t").await;
    assert_eq!(lease(&firn, "one").await["job"], Value::Null);
    let queued = queue(&firn, &ns, "t", "compact").await;
    assert_eq!((&queued["state"], &queued["table"]), (&json!("queued"), &json!(format!("main/{ns}.t"))));
    assert_eq!((&queued["requested-by"], &queued["attempt"]), (&json!("local-administrator"), &json!(0)));
    assert_eq!(queued["policy"]["compact"]["inputs-min"], 5);
    let again =
        post(&firn, "jobs", &json!({ "table": table_identifier(&ns, "t"), "action": "compact" })).await;
    again.expect_error(409, "ConflictException", "queued or running already");

    let first = lease(&firn, "one").await;
    assert_eq!((&first["job"]["job-id"], &first["table"]), (&queued["job-id"], &table_identifier(&ns, "t")));
    let location = created["metadata"]["location"].as_str().unwrap();
    let (a, b) = (format!("{location}/data/a"), format!("{location}/data/b"));
    let outputs = json!({ "lease": lease_of(&first), "register": [a, b] });
    post(&firn, &job_path(&first, "outputs"), &outputs).await.expect(204);
    // The lease of the first worker expires after a millisecond.
    let mut second = lease(&firn, "two").await;
    while second["job"] == Value::Null {
        second = lease(&firn, "two").await;
    }
    assert_eq!((&second["job"]["attempt"], &second["job"]["worker"]), (&json!(2), &json!("two")));
    assert_eq!(second["leftovers"], json!([a, b]));
    assert_eq!(second["folders"]["own"], json!([location]));
    for (what, body) in [
        ("heartbeat", json!({ "lease": lease_of(&first) })),
        ("outputs", json!({ "lease": lease_of(&first), "register": ["file:///c"] })),
        ("finish", json!({ "lease": lease_of(&first), "outcome": { "outcome": "succeeded", "result": {} } })),
    ] {
        let refused = post(&firn, &job_path(&first, what), &body).await;
        refused.expect_error(409, "ConflictException", "is not attempt 1 of worker `one` any more");
    }
    let heartbeat = json!({ "lease": lease_of(&second), "progress": { "files": 3 } });
    let response = post(&firn, &job_path(&second, "heartbeat"), &heartbeat).await.expect(200).json();
    assert_eq!(response, json!({ "cancel": false }));
    let job = get(&firn, &format!("jobs/{}", queued["job-id"].as_str().unwrap())).await;
    assert_eq!((&job["state"], &job["progress"]), (&json!("running"), &json!({ "files": 3 })));

    let release = json!({ "lease": lease_of(&second), "release": [a, b] });
    post(&firn, &job_path(&second, "outputs"), &release).await.expect(204);
    let done = json!({ "lease": lease_of(&second), "outcome": { "outcome": "succeeded", "result": { "files": 1 } } });
    post(&firn, &job_path(&second, "finish"), &done).await.expect(204);
    let ended = get(&firn, &format!("jobs?state=succeeded&{}", scope(&ns, "t"))).await;
    assert_eq!(
        (&ended["jobs"][0]["state"], &ended["jobs"][0]["result"]),
        (&json!("succeeded"), &json!({ "files": 1 }))
    );
    queue(&firn, &ns, "t", "compact").await;
}

async fn a_worker_learns_of_renames_cancellations_and_drops(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    for name in ["renamed", "dropped", "cancelled", "later"] {
        create_table(&firn, &ns, name).await;
    }
    queue(&firn, &ns, "dropped", "compact").await;
    firn.delete(&fixture::table_path(&ns, "dropped")).await.expect(204);
    queue(&firn, &ns, "renamed", "compact").await;
    firn.post("tables/rename", &fixture::rename(&ns, "renamed", "new name")).await.expect(204);
    let leased = lease(&firn, "w").await;
    assert_eq!(leased["table"], table_identifier(&ns, "new name"));
    let dropped = get(&firn, "jobs?state=failed").await;
    assert_eq!(dropped["jobs"][0]["error"], "its table was dropped");

    let id = leased["job"]["job-id"].as_str().unwrap();
    let cancelled = post(&firn, &format!("jobs/{id}/cancel"), &json!({})).await.expect(200).json();
    assert_eq!((&cancelled["state"], &cancelled["cancel-requested"]), (&json!("running"), &json!(true)));
    let heartbeat =
        post(&firn, &job_path(&leased, "heartbeat"), &json!({ "lease": lease_of(&leased) })).await;
    assert_eq!(heartbeat.expect(200).json(), json!({ "cancel": true }));
    let ended = json!({ "lease": lease_of(&leased), "outcome": { "outcome": "cancelled" } });
    post(&firn, &job_path(&leased, "finish"), &ended).await.expect(204);
    post(&firn, &format!("jobs/{id}/cancel"), &json!({})).await.expect_error(
        409,
        "ConflictException",
        "has ended",
    );

    let queued = queue(&firn, &ns, "cancelled", "expire-snapshots").await;
    let id = queued["job-id"].as_str().unwrap();
    let cancelled = post(&firn, &format!("jobs/{id}/cancel"), &json!({})).await.expect(200).json();
    assert_eq!(cancelled["state"], "cancelled");

    queue(&firn, &ns, "later", "compact").await;
    let leased = lease(&firn, "w").await;
    let retry = json!({ "outcome": "retry", "error": "no disk left", "after-ms": 3_600_000 });
    let body = json!({ "lease": lease_of(&leased), "outcome": retry });
    post(&firn, &job_path(&leased, "finish"), &body).await.expect(204);
    assert_eq!(lease(&firn, "w").await["job"], Value::Null);
    let waiting = get(&firn, "jobs?state=queued").await;
    let waiting = waiting["jobs"].as_array().unwrap().iter();
    let errors: Vec<_> = waiting.filter(|job| job["action"] == "compact").map(|job| &job["error"]).collect();
    assert_eq!(errors, ["no disk left"]);
    for path in ["jobs/nothing", "jobs/00000000-0000-0000-0000-000000000000"] {
        call(&firn, "GET", path, None).await.expect_error(404, "NoSuchJobException", "does not exist");
    }
    call(&firn, "GET", "jobs?state=tired", None).await.expect_error(400, "BadRequestException", "tired");
    call(&firn, "GET", "jobs?table=t", None).await.expect_error(400, "BadRequestException", "`namespace`");
}

async fn jobs_are_listed_in_pages(backend: Backend) {
    let firn = Firn::new(backend).await;
    let ns = fixture::namespace(&firn).await;
    let mut ids = Vec::new();
    for number in 0..5 {
        create_table(&firn, &ns, &format!("t{number}")).await;
        ids.insert(0, queue(&firn, &ns, &format!("t{number}"), "evaluate").await["job-id"].clone());
    }
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let page = get(&firn, &format!("jobs?page-size=2&page-token={token}")).await;
        listed.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["job-id"].clone()));
        match page["next-page-token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    assert_eq!(listed, ids);
    call(&firn, "GET", "jobs?page-token=x", None).await.expect_error(
        400,
        "BadRequestException",
        "page-token",
    );
}

async fn the_reason_of_a_pause_is_returned(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    create_table(firn, &ns, "t").await;
    let paused =
        async || get(firn, &format!("applicable-policy?{}", scope(&ns, "t"))).await["paused"].clone();
    assert_eq!(paused().await, Value::Null);
    let pause = json!({ "table": table_identifier(&ns, "t"), "reason": "a migration" });
    post(firn, "pause", &pause).await.expect(204);
    let found = paused().await;
    assert_eq!(
        (&found["reason"], &found["paused-by"]),
        (&json!("a migration"), &json!("local-administrator"))
    );
    post(firn, "resume", &json!({ "table": table_identifier(&ns, "t") })).await.expect(204);
    assert_eq!(paused().await, Value::Null);
    let missing = json!({ "table": table_identifier(&ns, "none"), "reason": "x" });
    post(firn, "pause", &missing).await.expect_error(404, "NoSuchTableException", "none");
}

tests::on_both_databases!(
    the_most_specific_policy_applies_and_is_named_as_the_source,
    invalid_policies_are_refused_with_the_name_of_the_setting,
    a_job_with_an_expired_lease_passes_to_another_worker,
    a_worker_learns_of_renames_cancellations_and_drops,
    jobs_are_listed_in_pages,
    the_reason_of_a_pause_is_returned,
);
