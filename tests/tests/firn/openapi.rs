//! `/openapi.json`: valid, and describes exactly the endpoints that are served.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::process::{self, Backend};

use crate::endpoints;

fn document() -> Value {
    let mut document = Value::Null;
    process::run(async {
        let firn = process::shared(Backend::Sqlite).await;
        document = firn.request("GET", "/openapi.json", None, &[]).await.expect(200).json();
    });
    document
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

#[test]
fn the_document_describes_all_advertised_and_operator_endpoints() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let listed: BTreeSet<_> = operations(&document).map(|(route, _)| route).collect();
    let mut expected: BTreeSet<_> = endpoints::iceberg().into_iter().map(str::to_owned).collect();
    expected.insert("GET /v1/config".to_owned());
    expected.extend(endpoints::GOVERNANCE.map(str::to_owned));
    // The document does not describe its own endpoint.
    expected.extend(
        endpoints::OPERATOR.iter().filter(|path| **path != "/openapi.json").map(|path| format!("GET {path}")),
    );
    assert_eq!(listed, expected);
}

#[test]
fn every_reference_can_be_resolved() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.as_str() {
                        Some(target) if key == "$ref" => found.push(target),
                        _ => walk(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}

#[test]
fn every_operation_has_an_id_of_its_own_and_its_errors() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (route, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{route} has no id"));
        assert!(ids.insert(id), "`{id}` twice");
        if route.contains("/v1/") {
            for status in ["400", "403", "404", "500", "503"] {
                assert!(operation["responses"].get(status).is_some(), "{route} does not tell of {status}");
            }
        }
        let has_body = operation.get("requestBody").is_some();
        assert!(!has_body || route.starts_with("POST") || route.starts_with("PUT"), "{route}");
    }
}
