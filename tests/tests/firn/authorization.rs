//! Authorization: every endpoint decides about its action, by the counters of decisions.

use std::collections::BTreeMap;

use tests::process::{Backend, Firn, Setup};

use crate::endpoints::{self, Endpoint};

/// Returns the actions that an endpoint decides about, besides `use-warehouse`. Fails for an endpoint without a case.
fn expected(endpoint: &Endpoint) -> Vec<&'static str> {
    let rest =
        endpoint.route.replace("/v1/{prefix}", "").replace("/governance/v1/maintenance", "maintenance:");
    let (method, path) = rest.split_once(' ').unwrap();
    let table = path.replace("/namespaces/{namespace}", "");
    let action = match (method, table.as_str()) {
        // A rename creates the table in another namespace.
        ("POST", "/tables/rename") => return vec!["create-table", "rename-table"],
        ("POST", "/views/rename") => return vec!["create-view", "rename-view"],
        _ if endpoint.action.is_some() => return endpoint.action.into_iter().collect(),
        ("GET", "/v1/config") => "load-config",
        ("GET", "/namespaces") => "list-namespaces",
        ("GET" | "HEAD", "") => "load-namespace",
        ("GET", "/tables") => "list-tables",
        ("POST", "/tables") => "stage-table",
        ("GET" | "HEAD", "/tables/{table}") => "load-table",
        ("POST", "/tables/{table}/metrics") => "report-metrics",
        (_, "/tables/{table}/plan" | "/tables/{table}/plan/{plan-id}" | "/tables/{table}/tasks") => {
            "plan-scan"
        }
        ("GET", "/views") => "list-views",
        ("GET" | "HEAD", "/views/{view}") => "load-view",
        ("GET", "maintenance:/policy") => "load-policy",
        ("GET", "maintenance:/applicable-policy" | "maintenance:/explain") => "explain-maintenance",
        ("GET", "/governance/v1/warehouses") => "list-warehouses",
        ("GET", "/governance/v1/warehouses/{warehouse}") => "load-warehouse",
        ("POST", "/governance/v1/warehouses/{warehouse}/check") => "check-warehouse",
        ("GET", "maintenance:/history") => "load-history",
        ("GET", "maintenance:/folders" | "maintenance:/readable") => "load-folders",
        ("GET", "maintenance:/jobs") => "list-jobs",
        ("GET", "maintenance:/jobs/{job-id}") => "load-job",
        ("POST", "maintenance:/jobs/lease") => "lease-job",
        ("POST", of_worker) if of_worker.starts_with("maintenance:/jobs/{job-id}/") => "work-on-job",
        other => panic!("no case for the decision of {other:?}"),
    };
    vec![action]
}

/// Returns the number of allowed requests by action.
async fn allowed(firn: &Firn) -> BTreeMap<String, u64> {
    let text = firn.request("GET", "/metrics", None, &[]).await.expect(200).text();
    let mut counts = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("firn_authorization_decisions_total{")) {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        assert!(labels.contains("decision=\"allowed\""), "{line}");
        let action = labels.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
        counts.insert(action.to_owned(), count.parse().unwrap());
    }
    counts
}

async fn every_endpoint_decides_about_its_action(backend: Backend) {
    // Workers of the server itself would decide in between.
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_MAINTENANCE__WORKERS", "0"));
    let mut endpoints = endpoints::all(&firn).await;
    endpoints.extend(endpoints::governance(&firn).await);
    for endpoint in &endpoints {
        let before = allowed(&firn).await;
        let reply = endpoints::send(&firn, endpoint, &[]).await;
        assert_eq!(reply.status, endpoint.status, "{}: {}", endpoint.route, reply.text());
        let after = allowed(&firn).await;
        let mut decided: Vec<_> =
            after.iter().filter(|(action, count)| before.get(*action) != Some(count)).collect();
        decided.retain(|(action, _)| *action != "use-warehouse");
        let decided: Vec<_> = decided.into_iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(decided, expected(endpoint), "{}", endpoint.route);
    }
}

tests::on_both_databases!(every_endpoint_decides_about_its_action);
