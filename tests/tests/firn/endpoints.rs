//! All endpoints, each with a request that succeeds, for tests of rules that apply to every endpoint.

use std::path::Path;

use serde_json::{Value, json};
use tests::fixture::{self, change, commit, rename, schema, set_property, view, view_version};
use tests::http::Client;

/// Endpoint, and a request to it that succeeds once.
pub(crate) struct Endpoint {
    /// Method and route as listed by `/v1/config`; endpoints of operators have the same form.
    pub(crate) route: &'static str,
    /// Path below the warehouse prefix, or, with a leading `/`, below the root of the server.
    pub(crate) path: String,
    /// JSON body of the request.
    pub(crate) body: Option<Value>,
    /// Expected status of the response.
    pub(crate) status: u16,
    /// Action in the audit log, if the endpoint changes the catalog.
    pub(crate) action: Option<&'static str>,
}

impl Endpoint {
    /// Returns `true` if the request does not change the catalog. Scan planning does not, with any method.
    pub(crate) fn is_read(&self) -> bool {
        let plans = ["/plan", "/plan/{plan-id}", "/tasks"];
        matches!(self.method(), "GET" | "HEAD") || plans.iter().any(|end| self.route.ends_with(end))
    }

    /// Method: `GET`, `HEAD`, `POST` or `DELETE`.
    pub(crate) fn method(&self) -> &'static str {
        self.route.split_once(' ').unwrap().0
    }
}

/// Routes that `/v1/config` must advertise.
pub(crate) fn iceberg() -> Vec<&'static str> {
    // Clients request the configuration before they know any routes, so it is not advertised.
    ROUTES.into_iter().filter(|route| *route != "GET /v1/config").collect()
}

const ROUTES: [&str; 30] = [
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "POST /v1/{prefix}/namespaces/{namespace}/properties",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/unregister",
    "POST /v1/{prefix}/namespaces/{namespace}/register",
    "POST /v1/{prefix}/tables/rename",
    "POST /v1/{prefix}/transactions/commit",
    "GET /v1/{prefix}/namespaces/{namespace}/views",
    "POST /v1/{prefix}/namespaces/{namespace}/views",
    "GET /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "POST /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/views/{view}",
    "POST /v1/{prefix}/views/rename",
    "POST /v1/{prefix}/namespaces/{namespace}/register-view",
    "GET /v1/config",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}/plan/{plan-id}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/tasks",
];

/// Routes for administrators and maintenance workers.
pub(crate) const GOVERNANCE: [&str; 23] = [
    "GET /governance/v1/maintenance/policy",
    "PUT /governance/v1/maintenance/policy",
    "DELETE /governance/v1/maintenance/policy",
    "GET /governance/v1/maintenance/applicable-policy",
    "POST /governance/v1/maintenance/pause",
    "POST /governance/v1/maintenance/resume",
    "GET /governance/v1/maintenance/jobs",
    "POST /governance/v1/maintenance/jobs",
    "GET /governance/v1/maintenance/jobs/{job-id}",
    "POST /governance/v1/maintenance/jobs/{job-id}/cancel",
    "POST /governance/v1/maintenance/jobs/lease",
    "POST /governance/v1/maintenance/jobs/{job-id}/heartbeat",
    "POST /governance/v1/maintenance/jobs/{job-id}/outputs",
    "POST /governance/v1/maintenance/jobs/{job-id}/finish",
    "GET /governance/v1/maintenance/explain",
    "GET /governance/v1/maintenance/history",
    "POST /governance/v1/maintenance/jobs/{job-id}/readable",
    "GET /governance/v1/maintenance/folders",
    "GET /governance/v1/maintenance/readable",
    "GET /governance/v1/warehouses",
    "POST /governance/v1/warehouses",
    "GET /governance/v1/warehouses/{warehouse}",
    "POST /governance/v1/warehouses/{warehouse}/check",
];

/// Paths for operators.
pub(crate) const OPERATOR: [&str; 4] = ["/health/live", "/health/ready", "/metrics", "/openapi.json"];

/// Metrics report about a commit.
pub(crate) fn report() -> Value {
    json!({
        "report-type": "commit-report", "table-name": "t", "snapshot-id": 1, "sequence-number": 1,
        "operation": "append", "metrics": {},
    })
}

/// Prepares a new namespace, and returns one request for each endpoint. The requests may be sent in any
/// order.
#[expect(clippy::too_many_lines, reason = "a table, one entry for each endpoint")]
pub(crate) async fn all(client: &Client) -> Vec<Endpoint> {
    let ns = fixture::namespace(client).await;
    let empty = fixture::namespace(client).await;
    let at = |rest: &str| format!("{}{rest}", fixture::namespace_path(&ns));
    for name in ["stay", "drop", "purge", "unregister", "rename", "transact"] {
        fixture::create_table(client, &ns, name).await;
    }
    for name in ["v_stay", "v_drop", "v_rename"] {
        client.post(&at("/views"), &view(name, "select 1")).await.expect(200);
    }
    let table_file = dropped(client, &at("/tables"), &fixture::table("gone")).await;
    let view_file = dropped(client, &at("/views"), &view("v_gone", "select 1")).await;
    let version = json!([
        { "action": "add-view-version", "view-version": view_version(2, "select 2") },
        { "action": "set-current-view-version", "view-version-id": -1 },
    ]);
    let submitted = client
        .send("POST", &at("/tables/stay/plan"), Some("{}".to_owned()), &[("prefer", "respond-async")])
        .await
        .expect(200)
        .json();
    let plan_id = submitted["plan-id"].as_str().unwrap().to_owned();
    let set = [set_property("k", "v")];
    let new = fixture::unique("new");
    let endpoint = |route: &'static str, path: String, status: u16| {
        let route = *ROUTES.iter().find(|known| **known == route).unwrap();
        Endpoint { route, path, body: None, status, action: None }
    };
    let read = |suffix: &'static str, path: String, status: u16| endpoint(suffix, path, status);
    let write =
        |route: &'static str, path: String, status: u16, body: Option<Value>, action: &'static str| {
            Endpoint { body, action: Some(action), ..endpoint(route, path, status) }
        };
    let purge = write(ROUTES[11], at("/tables/purge?purgeRequested=true"), 204, None, "purge-table");
    let staged = json!({ "name": "staged", "schema": schema(), "stage-create": true });
    let overwrite = json!({ "name": "registered", "metadata-location": table_file, "overwrite": true });
    vec![
        read(ROUTES[0], "namespaces".to_owned(), 200),
        write(
            ROUTES[1],
            "namespaces".to_owned(),
            200,
            Some(json!({ "namespace": [new] })),
            "create-namespace",
        ),
        read(ROUTES[2], at(""), 200),
        read(ROUTES[3], at(""), 204),
        write(ROUTES[4], fixture::namespace_path(&empty), 204, None, "drop-namespace"),
        write(
            ROUTES[5],
            at("/properties"),
            200,
            Some(json!({ "updates": { "a": "b" } })),
            "update-namespace",
        ),
        read(ROUTES[6], at("/tables"), 200),
        write(ROUTES[7], at("/tables"), 200, Some(fixture::table("new")), "create-table"),
        Endpoint { body: Some(staged), ..read(ROUTES[7], at("/tables"), 200) },
        read(ROUTES[8], at("/tables/stay"), 200),
        read(ROUTES[9], at("/tables/stay"), 204),
        write(ROUTES[10], at("/tables/stay"), 200, Some(commit(&[], &set)), "commit-table"),
        write(ROUTES[11], at("/tables/drop"), 204, None, "drop-table"),
        purge,
        Endpoint { body: Some(report()), ..read(ROUTES[12], at("/tables/stay/metrics"), 204) },
        write(ROUTES[13], at("/tables/unregister/unregister"), 200, None, "unregister-table"),
        write(ROUTES[14], at("/register"), 200, Some(overwrite), "register-table"),
        write(
            ROUTES[15],
            "tables/rename".to_owned(),
            204,
            Some(rename(&ns, "rename", "renamed")),
            "rename-table",
        ),
        write(
            ROUTES[16],
            "transactions/commit".to_owned(),
            204,
            Some(json!({ "table-changes": [change(&ns, "transact", &[], &set)] })),
            "commit-table",
        ),
        read(ROUTES[17], at("/views"), 200),
        write(ROUTES[18], at("/views"), 200, Some(view("v_new", "select 1")), "create-view"),
        read(ROUTES[19], at("/views/v_stay"), 200),
        read(ROUTES[20], at("/views/v_stay"), 204),
        write(
            ROUTES[21],
            at("/views/v_stay"),
            200,
            Some(json!({ "requirements": [], "updates": version })),
            "commit-view",
        ),
        write(ROUTES[22], at("/views/v_drop"), 204, None, "drop-view"),
        write(
            ROUTES[23],
            "views/rename".to_owned(),
            204,
            Some(rename(&ns, "v_rename", "v_renamed")),
            "rename-view",
        ),
        write(
            ROUTES[24],
            at("/register-view"),
            200,
            Some(json!({ "name": "v_registered", "metadata-location": view_file })),
            "register-view",
        ),
        Endpoint { path: "/v1/config".to_owned(), ..read(ROUTES[25], String::new(), 200) },
        Endpoint { body: Some(json!({})), ..read(ROUTES[26], at("/tables/stay/plan"), 200) },
        read(ROUTES[27], at(&format!("/tables/stay/plan/{plan_id}")), 200),
        read(ROUTES[28], at(&format!("/tables/stay/plan/{plan_id}")), 204),
        // Only tables with very many files have plan tasks.
        Endpoint {
            body: Some(json!({ "plan-task": "x" })),
            ..read(ROUTES[29], at("/tables/stay/tasks"), 404)
        },
    ]
}

/// Returns one request for each endpoint of the governance API, on tables of a new namespace. The requests
/// may be sent in any order.
pub(crate) async fn governance(client: &Client) -> Vec<Endpoint> {
    let ns = fixture::namespace(client).await;
    for name in ["one", "other"] {
        fixture::create_table(client, &ns, name).await;
    }
    let table = |name: &str| json!({ "warehouse": "main", "namespace": [ns], "table": name });
    let scope = |name: &str| format!("warehouse=main&namespace={ns}&table={name}");
    let at = |rest: &str| format!("/governance/v1/maintenance/{rest}");
    let put = json!({ "compact": { "enabled": false } });
    let send = async |method: &str, path: String, body: &Value| {
        client.request(method, &path, Some(body.to_string()), &[]).await.expect(200).json()
    };
    send("PUT", at(&format!("policy?{}", scope("other"))), &put).await;
    let queued = send("POST", at("jobs"), &json!({ "table": table("other"), "action": "evaluate" })).await;
    let job = at(&format!("jobs/{}", queued["job-id"].as_str().unwrap()));
    let pause = json!({ "table": table("other"), "reason": "a test" });
    client.request("POST", &at("pause"), Some(pause.to_string()), &[]).await.expect(204);

    let read = |number: usize, path: String, status: u16, body: Option<Value>| Endpoint {
        route: GOVERNANCE[number],
        path,
        body,
        status,
        action: None,
    };
    let write = |number: usize, path: String, status: u16, body: Option<Value>, action: &'static str| {
        Endpoint { action: Some(action), ..read(number, path, status, body) }
    };
    let warehouses = "/governance/v1/warehouses";
    let main = client.request("GET", &format!("{warehouses}/main"), None, &[]).await.expect(200).json();
    let name = fixture::unique("warehouse");
    let location = format!("{}-{name}", main["location"].as_str().unwrap());
    let new_warehouse = json!({ "name": name, "location": location, "storage": { "type": "file" } });
    let lease = json!({ "worker": "w", "attempt": 0 });
    let new_job = json!({ "table": table("one"), "action": "compact" });
    vec![
        read(0, at(&format!("policy?{}", scope("other"))), 200, None),
        write(1, at(&format!("policy?{}", scope("one"))), 200, Some(put), "put-policy"),
        write(2, at(&format!("policy?{}", scope("other"))), 204, None, "delete-policy"),
        read(3, at(&format!("applicable-policy?{}", scope("one"))), 200, None),
        write(4, at("pause"), 204, Some(json!({ "table": table("one"), "reason": "a test" })), "pause"),
        write(5, at("resume"), 204, Some(json!({ "table": table("other") })), "resume"),
        read(6, at("jobs"), 200, None),
        write(7, at("jobs"), 200, Some(new_job), "queue-job"),
        read(8, job.clone(), 200, None),
        write(9, format!("{job}/cancel"), 200, Some(json!({})), "cancel-job"),
        // Reports of a worker are accepted only for a job that it has leased. They are recorded in the job,
        // not in the audit log.
        read(10, at("jobs/lease"), 200, Some(json!({ "worker": "w" }))),
        read(11, format!("{job}/heartbeat"), 409, Some(json!({ "lease": lease }))),
        read(12, format!("{job}/outputs"), 409, Some(json!({ "lease": lease, "register": ["a"] }))),
        read(
            13,
            format!("{job}/finish"),
            409,
            Some(json!({ "lease": lease, "outcome": { "outcome": "cancelled" } })),
        ),
        read(14, at(&format!("explain?{}", scope("one"))), 200, None),
        read(15, at(&format!("history?{}&age-ms=0", scope("one"))), 200, None),
        read(16, format!("{job}/readable"), 409, Some(json!({ "lease": lease, "location": "/a" }))),
        read(17, at(&format!("folders?{}", scope("one"))), 200, None),
        read(18, at(&format!("readable?{}&location=/a", scope("one"))), 200, None),
        read(19, warehouses.to_owned(), 200, None),
        write(20, warehouses.to_owned(), 201, Some(new_warehouse), "create-warehouse"),
        read(21, format!("{warehouses}/main"), 200, None),
        // A check leaves nothing.
        read(22, format!("{warehouses}/main/check"), 200, Some(json!({}))),
    ]
}

/// Sends the request of an endpoint with additional headers.
pub(crate) async fn send(
    client: &Client,
    endpoint: &Endpoint,
    headers: &[(&str, &str)],
) -> tests::http::Reply {
    let body = endpoint.body.as_ref().map(Value::to_string);
    if endpoint.path.starts_with('/') {
        client.request(endpoint.method(), &endpoint.path, body, headers).await
    } else {
        client.send(endpoint.method(), &endpoint.path, body, headers).await
    }
}

/// Creates and drops a table or view; returns the location of its metadata file.
async fn dropped(client: &Client, folder: &str, body: &Value) -> String {
    let created = client.post(folder, body).await.expect(200).json();
    let name = body["name"].as_str().unwrap();
    client.delete(&format!("{folder}/{name}")).await.expect(204);
    let location = created["metadata-location"].as_str().unwrap().to_owned();
    assert!(Path::new(fixture::local(&location)).is_file(), "{location}");
    location
}
