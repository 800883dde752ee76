//! Table locations: inside the warehouse, and outside of the folders of other tables, in every spelling.

use serde_json::{Value, json};
use tests::fixture::{self, append, commit, creation, set_property, table_at, table_path, tables, view};
use tests::process::{self, Backend, Firn};

/// Returns the location of a new folder in the warehouse, in the form `file:///…`.
fn new_location(firn: &Firn, name: &str) -> String {
    format!("file://{}/{}", firn.warehouse().display(), fixture::unique(name))
}

async fn create_at(firn: &Firn, ns: &str, name: &str, location: &str) -> tests::http::Reply {
    firn.post(&tables(ns), &table_at(name, location)).await
}

fn check_refused(reply: &tests::http::Reply, location: &str) {
    let message = reply.error_message(400, "IllegalArgumentException");
    assert!(message.contains("nvalid") || message.contains(location), "{location}: {message}");
}

async fn a_location_outside_the_warehouse_is_refused_everywhere(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let created = fixture::create_table(firn, &ns, "t").await;
    let root = firn.warehouse().display().to_string();
    let outside = [
        "file:///etc/firn".to_owned(),
        "/etc/firn".to_owned(),
        "s3://bucket/x".to_owned(),
        format!("s3://{root}/x"),
        format!("file://{root}"),
        format!("file://{root}/"),
        format!("file://{root}2/x"),
        format!("file://{root}/../x"),
        format!("file://{root}/a/../../x"),
        format!("file://{root}/%2e%2e/x"),
        format!("file://{root}/%2E./x"),
        format!("file://{root}/%252e%252e/x"),
        format!("file://{root}/a%2f..%2f../x"),
        format!("file://{root}/./x"),
        format!("file://{root}//x"),
        format!("file://{root}/x//y"),
        format!("file://{root}/x\\..\\y"),
        format!("file://{root}/x?y"),
        format!("file://{root}/x#y"),
        format!("file://{root}/x\u{0}y"),
        format!("file://example.org{root}/x"),
        format!("http://localhost{root}/x"),
        "relative/x".to_owned(),
        String::new(),
        "file:".to_owned(),
        "file://".to_owned(),
        format!("file://{root}/{}", "x".repeat(3_000)),
    ];
    let path = table_path(&ns, "t");
    for location in &outside {
        check_refused(&create_at(firn, &ns, "new", location).await, location);
        let staged =
            json!({ "name": "new", "schema": fixture::schema(), "location": location, "stage-create": true });
        check_refused(&firn.post(&tables(&ns), &staged).await, location);
        let assert = [json!({ "type": "assert-create" })];
        check_refused(
            &firn.post(&table_path(&ns, "new"), &commit(&assert, &creation(location))).await,
            location,
        );
        let set = json!({ "action": "set-location", "location": location });
        check_refused(&firn.post(&path, &commit(&[], &[set])).await, location);
        for key in [
            "write.data.path",
            "write.metadata.path",
            "write.object-storage.path",
            "write.folder-storage.path",
        ] {
            check_refused(&firn.post(&path, &commit(&[], &[set_property(key, location)])).await, location);
            let body = json!({ "name": "new", "schema": fixture::schema(), "properties": { key: location } });
            check_refused(&firn.post(&tables(&ns), &body).await, location);
        }
        let mut snapshot = append(&created["metadata"], 5, "x");
        snapshot[0]["snapshot"]["manifest-list"] = json!(location);
        check_refused(&firn.post(&path, &commit(&[], &snapshot)).await, location);
        let body = json!({ "name": "new", "metadata-location": location });
        check_refused(
            &firn.post(&format!("{}/register", fixture::namespace_path(&ns)), &body).await,
            location,
        );
        check_refused(
            &firn.post(&format!("{}/register-view", fixture::namespace_path(&ns)), &body).await,
            location,
        );
        let mut new_view = view("new", "select 1");
        new_view["location"] = json!(location);
        check_refused(&firn.post(&fixture::views(&ns), &new_view).await, location);
    }
    assert_eq!(firn.get(&path).await.json(), created, "a refused commit changed the table");
    assert_eq!(firn.head(&table_path(&ns, "new")).await, 404);
    assert!(!firn.setup().data_dir.join("x").exists());
}

async fn two_tables_never_share_a_folder_in_any_spelling(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let orders = new_location(firn, "orders");
    create_at(firn, &ns, "orders", &orders).await.expect(200);
    let path = orders.trim_start_matches("file://");
    let spellings = [
        orders.clone(),
        format!("{orders}/"),
        format!("file:{path}"),
        format!("FILE://{path}"),
        format!("file://localhost{path}"),
        path.to_owned(),
        format!("{orders}/inside"),
        format!("{orders}/metadata"),
    ];
    fixture::create_table(firn, &ns, "other").await;
    let other = table_path(&ns, "other");
    for location in &spellings {
        check_refused(&create_at(firn, &ns, "new", location).await, location);
        let set = json!({ "action": "set-location", "location": location });
        check_refused(&firn.post(&other, &commit(&[], &[set])).await, location);
        check_refused(
            &firn.post(&other, &commit(&[], &[set_property("write.data.path", location)])).await,
            location,
        );
        let mut new_view = view("new", "select 1");
        new_view["location"] = json!(location);
        check_refused(&firn.post(&fixture::views(&ns), &new_view).await, location);
    }
    // The parent folder of a table's folder is not free either.
    let nested = new_location(firn, "nested");
    create_at(firn, &ns, "nested", &format!("{nested}/deep/er")).await.expect(200);
    for above in [nested.clone(), format!("{nested}/deep"), format!("{nested}/deep/")] {
        check_refused(&create_at(firn, &ns, "new", &above).await, &above);
    }
}

async fn sibling_prefixes_are_different_folders(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let orders = new_location(firn, "orders");
    for (name, location) in [
        ("a", orders.clone()),
        ("b", format!("{orders}2")),
        ("c", format!("{orders}-x")),
        ("d", format!("{orders}.x")),
        ("e", format!("{orders}_")),
        ("f", orders.replace("orders", "Orders")),
        ("g", format!("{orders} x")),
        ("h", format!("{orders}é")),
    ] {
        create_at(firn, &ns, name, &location).await.expect(200);
    }
}

async fn a_manifest_list_in_another_tables_folder_is_refused(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let mine = fixture::create_table(firn, &ns, "mine").await;
    let theirs = fixture::create_table(firn, &ns, "theirs").await;
    let elsewhere = format!("{}/metadata/snap-5.avro", theirs["metadata"]["location"].as_str().unwrap());
    let mut updates = append(&mine["metadata"], 5, "x");
    updates[0]["snapshot"]["manifest-list"] = json!(elsewhere);
    let reply = firn.post(&table_path(&ns, "mine"), &commit(&[], &updates)).await;
    reply.expect_error(400, "IllegalArgumentException", "belongs to another table");
    assert_eq!(firn.get(&table_path(&ns, "mine")).await.json(), mine);
    // The manifest list is accepted in the table's own folder, and in an unused folder of the warehouse.
    firn.post(&table_path(&ns, "mine"), &commit(&[], &append(&mine["metadata"], 6, "x"))).await.expect(200);
}

async fn a_moved_table_keeps_its_previous_folder(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let (old, new) = (new_location(firn, "old"), new_location(firn, "new"));
    create_at(firn, &ns, "t", &old).await.expect(200);
    let path = table_path(&ns, "t");
    let moved = json!({ "action": "set-location", "location": new });
    let moved = firn.post(&path, &commit(&[], &[moved])).await.expect(200).json();
    assert!(moved["metadata-location"].as_str().unwrap().starts_with(&new), "{moved}");
    for location in [&old, &new] {
        check_refused(&create_at(firn, &ns, "other", location).await, location);
    }
    // Its own previous folder does not belong to another table.
    let back = json!({ "action": "set-location", "location": old });
    firn.post(&path, &commit(&[], &[back])).await.expect(200);
    // Dropped without purge: both folders are free.
    firn.delete(&path).await.expect(204);
    for (name, location) in [("a", &old), ("b", &new)] {
        create_at(firn, &ns, name, location).await.expect(200);
    }
}

async fn path_properties_are_claimed_like_locations(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let data = new_location(firn, "data");
    fixture::create_table(firn, &ns, "t").await;
    let set = [set_property("write.data.path", &data)];
    firn.post(&table_path(&ns, "t"), &commit(&[], &set)).await.expect(200);
    check_refused(&create_at(firn, &ns, "other", &format!("{data}/x")).await, &data);
    let metadata = new_location(firn, "metadata");
    let body = json!({ "name": "m", "schema": fixture::schema(), "properties": { "write.metadata.path": metadata } });
    let created = firn.post(&tables(&ns), &body).await.expect(200).json();
    assert!(created["metadata-location"].as_str().unwrap().starts_with(&metadata), "{created}");
    check_refused(&create_at(firn, &ns, "other", &metadata).await, &metadata);
}

async fn a_default_location_is_new_even_for_a_reused_name(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let mut locations = Vec::new();
    for round in 0..3 {
        let created = fixture::create_table(firn, &ns, "t").await;
        locations.push(created["metadata"]["location"].clone());
        firn.post("tables/rename", &fixture::rename(&ns, "t", &format!("t{round}"))).await.expect(204);
    }
    assert!(
        locations[0] != locations[1] && locations[1] != locations[2] && locations[0] != locations[2],
        "{locations:?}"
    );
}

async fn tables_are_created_below_the_namespace_location(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::unique("located");
    let location = new_location(firn, "base");
    let body = json!({ "namespace": [ns], "properties": { "location": location } });
    firn.post("namespaces", &body).await.expect(200);
    let created = fixture::create_table(firn, &ns, "t").await;
    assert!(
        created["metadata"]["location"].as_str().unwrap().starts_with(&format!("{location}/t-")),
        "{created}"
    );
    let outside = json!({ "updates": { "location": "file:///etc" } });
    let reply = firn.post(&format!("{}/properties", fixture::namespace_path(&ns)), &outside).await;
    if reply.status == 200 {
        check_refused(&firn.post(&tables(&ns), &fixture::table("u")).await, "file:///etc");
    }
}

async fn concurrent_creations_on_one_folder_leave_one_owner(backend: Backend) {
    let firn = process::shared(backend).await;
    let ns = fixture::namespace(firn).await;
    let location = new_location(firn, "contested");
    let attempts: Vec<_> = (0..8)
        .map(|number| {
            tokio::spawn({
                let (client, path) = ((**firn).clone(), tables(&ns));
                // Half of the requests are for the folder, the others for a subfolder.
                let location = if number % 2 == 0 { location.clone() } else { format!("{location}/inside") };
                async move { client.post(&path, &table_at(&format!("t{number}"), &location)).await }
            })
        })
        .collect();
    let mut created = 0;
    for attempt in attempts {
        let reply = attempt.await.unwrap();
        match reply.status {
            200 => created += 1,
            409 => drop(reply.error_message(409, "CommitFailedException")),
            _ => check_refused(&reply, &location),
        }
    }
    assert_eq!(created, 1);
    let listed: Value = firn.get(&tables(&ns)).await.json();
    assert_eq!(listed["identifiers"].as_array().unwrap().len(), 1);
}

tests::on_both_databases!(
    a_location_outside_the_warehouse_is_refused_everywhere,
    two_tables_never_share_a_folder_in_any_spelling,
    sibling_prefixes_are_different_folders,
    a_manifest_list_in_another_tables_folder_is_refused,
    a_moved_table_keeps_its_previous_folder,
    path_properties_are_claimed_like_locations,
    a_default_location_is_new_even_for_a_reused_name,
    tables_are_created_below_the_namespace_location,
    concurrent_creations_on_one_folder_leave_one_owner,
);
