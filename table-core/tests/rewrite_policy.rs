//! Maintenance policies: what is taken, what is inherited, and where a setting comes from.

use serde_json::json;
use table_core::rewrite::policy::{MaintenancePolicy, PolicyError};

fn parse(json: &serde_json::Value) -> Result<MaintenancePolicy, PolicyError> {
    MaintenancePolicy::parse(json.to_string().as_bytes())
}

fn check_refused(json: &serde_json::Value, told: &str) {
    let error = parse(json).expect_err("a refusal").to_string();
    assert!(error.contains(told), "{error}");
}

#[test]
fn a_policy_is_written_as_it_was_read() {
    for json in [
        json!({}),
        json!({ "compact": { "enabled": false } }),
        json!({ "compact": { "target-bytes": 1_048_576, "delete-ratio": 0.5 }, "metadata-log": { "previous-versions-max": 3 } }),
        json!({ "expire-snapshots": { "snapshot-age-max-ms": 60_000, "snapshots-min": 7 } }),
        json!({ "write-audit-publish": { "wait-max-ms": 0 } }),
    ] {
        assert_eq!(serde_json::to_value(parse(&json).unwrap()).unwrap(), json);
    }
}

#[test]
fn impossible_numbers_are_refused_by_name() {
    check_refused(
        &json!({ "compact": { "target-bytes": 5 } }),
        "`compact.target-bytes` is 5, but must be from 1 MiB",
    );
    check_refused(&json!({ "compact": { "target-bytes": -5 } }), "invalid value");
    check_refused(&json!({ "compact": { "small-ratio": 1.0 } }), "`compact.small-ratio` is 1");
    check_refused(&json!({ "compact": { "large-ratio": 0.5 } }), "`compact.large-ratio`");
    check_refused(&json!({ "compact": { "delete-ratio": 1.5 } }), "from 0.001 to 1");
    check_refused(&json!({ "compact": { "inputs-min": 1 } }), "`compact.inputs-min` is 1");
    check_refused(&json!({ "compact": { "group-bytes-max": 0 } }), "`compact.group-bytes-max`");
    check_refused(&json!({ "compact": { "settle-minutes": 4_000_000 } }), "at most a year");
    check_refused(&json!({ "expire-snapshots": { "snapshots-min": 0 } }), "at least 1");
    check_refused(&json!({ "expire-snapshots": { "snapshot-age-max-ms": 5 } }), "from a minute");
    check_refused(&json!({ "expire-snapshots": { "ref-age-max-ms": 0 } }), "from a minute");
    check_refused(
        &json!({ "rewrite-manifests": { "manifests-min": 0 } }),
        "`rewrite-manifests.manifests-min`",
    );
    check_refused(&json!({ "rewrite-manifests": { "target-bytes": 1 } }), "64 KiB");
    check_refused(&json!({ "metadata-log": { "previous-versions-max": 0 } }), "from 1 to");
    check_refused(
        &json!({ "compact": { "small-ratio": 0.9, "large-ratio": 1.2 } }),
        "twice the `small-ratio`",
    );
    check_refused(
        &json!({ "compact": { "target-bytes": 8_000_000_000_u64, "group-bytes-max": 16_777_216 } }),
        "at least twice the target",
    );
    check_refused(&json!({ "compcat": {} }), "unknown field `compcat`");
    check_refused(&json!({ "compact": { "target": 1 } }), "unknown field `target`");
    check_refused(&json!([]), "not a maintenance policy");
    check_refused(&json!({ "compact": [] }), "not a maintenance policy");
    assert!(parse(&serde_json::to_value(MaintenancePolicy::defaults()).unwrap()).is_ok());
}

#[test]
fn the_most_specific_policy_wins_setting_by_setting() {
    let table = parse(&json!({ "compact": { "enabled": false } })).unwrap();
    let namespace = parse(&json!({ "compact": { "enabled": true, "inputs-min": 9 } })).unwrap();
    let found = table.clone().over(&namespace).over(&MaintenancePolicy::defaults());
    assert_eq!((found.compact.enabled, found.compact.inputs_min), (Some(false), Some(9)));
    assert_eq!(found.compact.delete_ratio, Some(0.3));

    let settings = MaintenancePolicy::settings(&[
        ("table", table),
        ("namespace", namespace),
        ("default", MaintenancePolicy::defaults()),
    ]);
    let of = |name: &str| {
        let setting = settings.iter().find(|setting| setting.name == name).unwrap();
        (setting.value.clone(), setting.source)
    };
    assert_eq!(of("compact.enabled"), (json!(false), "table"));
    assert_eq!(of("compact.inputs-min"), (json!(9), "namespace"));
    assert_eq!(of("expire-snapshots.snapshots-min"), (json!(1), "default"));
    // What `over` keeps is what the list of settings says.
    let listed: serde_json::Value = settings.iter().fold(json!({}), |mut all, setting| {
        let (section, name) = setting.name.split_once('.').unwrap();
        all[section][name] = setting.value.clone();
        all
    });
    assert_eq!(serde_json::to_value(found).unwrap(), listed);
}
