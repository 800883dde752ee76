//! Dependencies between crates and modules: the diagrams in `ARCHITECTURE.md` have their order, and the tables
//! here list every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tests::code::modules;
use tests::code::parts;
use tests::code::source::Source;
use tests::code::{Crate, Workspace};

/// Crates of the workspace that the crates depend on, and those that only their tests depend on.
const CRATES: [(&str, &str, &str); 6] = [
    ("table-core", "", ""),
    ("openapi", "", ""),
    ("storage", "table-core", ""),
    ("maintenance", "openapi storage table-core", ""),
    ("catalog-server", "maintenance openapi storage table-core", ""),
    ("tests", "catalog-server maintenance openapi storage table-core", ""),
];

/// Modules of the server and the `firn` binary, the modules that they use, and the crates of the workspace.
const MODULES: [(&str, &str, &str); 21] = [
    ("main", "cli clock config process server", ""),
    ("cli", "clock id process", "maintenance openapi storage table_core"),
    ("process", "config", ""),
    (
        "server",
        "api authn catalog clock config connections id schedule secrets storage store work",
        "maintenance storage table_core",
    ),
    ("connections", "api config", ""),
    (
        "api",
        "authn authz catalog clock config id planning_mode request schedule storage work",
        "openapi table_core",
    ),
    ("authn", "request", ""),
    ("schedule", "authz catalog clock config id request retry store", "openapi table_core"),
    (
        "catalog",
        "authz clock config id planning_mode request retry secrets storage store work",
        "openapi storage table_core",
    ),
    ("authz", "request store", ""),
    ("storage", "clock", "storage table_core"),
    ("secrets", "", ""),
    ("store", "request", ""),
    ("request", "id", ""),
    ("clock", "", ""),
    ("id", "", ""),
    ("work", "", ""),
    ("config", "planning_mode", ""),
    ("planning_mode", "", ""),
    ("retry", "", ""),
    // Declares the modules and uses none.
    ("lib", "", ""),
];

/// Modules of the store, and those that they use.
const STORE: [(&str, &str, &str); 8] = [
    ("commits", "catalog engine events ids maintenance", ""),
    ("database", "catalog engine", ""),
    ("maintenance", "catalog engine ids", ""),
    ("catalog", "engine ids", ""),
    ("events", "engine ids", ""),
    ("engine", "", ""),
    ("ids", "", ""),
    // Declares the modules and uses none.
    ("mod", "", ""),
];

/// Modules that use only a part of a crate: the folder, the crate, and the paths in it.
const PARTS_OF_CRATES: [(&str, &str, &[&str]); 4] = [
    // The description of the storage of a warehouse.
    ("catalog-server/src/catalog/", "openapi", &["warehouse"]),
    ("storage/src/", "table_core", &["location"]),
    // The registry of actions.
    ("catalog-server/src/schedule/", "openapi", &["action"]),
    // Commands are clients that know nothing of the server.
    ("catalog-server/src/cli/", "catalog_server", &["clock::Clock", "id"]),
];

/// Uses of the crates by the crate `tests`: the path in a crate, and the files and folders that use it. Clock and
/// ids of the server are free to use.
const USED_BY_TESTS: [(&str, &[&str]); 12] = [
    ("catalog_server::catalog", &["tests/tests/store_contract/"]),
    (
        "catalog_server::config",
        &[
            "tests/src/simulation/",
            "tests/tests/firn/memory_warehouse.rs",
            "tests/tests/firn/workers/retention.rs",
            "tests/tests/store_contract/",
        ],
    ),
    ("catalog_server::request", &["tests/tests/store_contract/"]),
    ("catalog_server::schedule", &["tests/tests/store_contract/"]),
    ("catalog_server::secrets", &["tests/tests/store_contract/"]),
    (
        "catalog_server::server",
        &[
            "tests/src/simulation/",
            "tests/tests/firn/memory_warehouse.rs",
            "tests/tests/firn/workers/retention.rs",
        ],
    ),
    (
        "catalog_server::storage",
        &["tests/tests/firn/memory_warehouse.rs", "tests/tests/memory/", "tests/tests/store_contract/"],
    ),
    (
        "catalog_server::store",
        &[
            // Opens a database, to find out what it needs, or to make what no request can.
            "tests/src/postgres.rs",
            "tests/tests/firn/audit.rs",
            "tests/tests/firn/metrics_reports.rs",
            "tests/tests/firn/ownership.rs",
            "tests/tests/firn/starts.rs",
            "tests/tests/store_contract/",
        ],
    ),
    ("catalog_server::work", &["tests/tests/store_contract/"]),
    ("maintenance", &["tests/src/simulation/", "tests/tests/firn/workers/slow_store.rs"]),
    (
        "storage",
        &[
            "tests/src/simulation/",
            "tests/tests/firn/memory_warehouse.rs",
            "tests/tests/firn/workers/slow_store.rs",
            "tests/tests/memory/",
            "tests/tests/object_stores/",
            "tests/tests/store_contract/",
        ],
    ),
    (
        "table_core",
        &[
            "tests/src/bin/bench/",
            "tests/src/fuzz.rs",
            "tests/src/simulation/",
            "tests/src/tables/",
            "tests/src/torture/",
            "tests/tests/firn/memory_warehouse.rs",
            "tests/tests/firn/scan_requests.rs",
            "tests/tests/iceberg_rust/",
            "tests/tests/memory/",
            "tests/tests/object_stores/",
        ],
    ),
];

/// Uses: the user, what it uses, and the places.
type Uses = BTreeMap<(String, String), Vec<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn workspace() -> Workspace {
    Workspace::read(&root()).unwrap()
}

fn names(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// Fails if something uses what a table does not list, or a table lists what nothing uses.
fn check_table(table: &BTreeMap<String, BTreeSet<String>>, uses: &Uses) {
    let lists = |user: &str, used: &str| table.get(user).is_some_and(|listed| listed.contains(used));
    for ((user, used), places) in uses {
        assert!(lists(user, used), "the table does not list `{used}` for `{user}`:\n{}", places.join("\n"));
    }
    for (user, listed) in table {
        for used in listed {
            let is_used = uses.contains_key(&(user.clone(), used.clone()));
            assert!(is_used, "the table lists `{used}` for `{user}`, which is no longer true");
        }
    }
}

/// Names in a diagram of `ARCHITECTURE.md`, each with those that it leads to. The diagram follows the line that
/// ends with `before`.
fn diagram(before: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once(&format!("{before}\n\n```\n")).expect(before);
    let (lines, _) = rest.split_once("```").unwrap();
    let mut leads_to: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in lines.lines() {
        let levels: Vec<_> =
            line.split('→').map(|level| names(&level.replace(['{', '}', ','], " "))).collect();
        for (number, level) in levels.iter().enumerate() {
            let right = levels[number + 1..].iter().flatten().cloned();
            let right: BTreeSet<String> = right.collect();
            for name in level {
                leads_to.entry(name.clone()).or_default().extend(right.clone());
            }
        }
    }
    // What leads to a name leads to what that leads to.
    for _ in 0..leads_to.len() {
        let before = leads_to.clone();
        for to in leads_to.values_mut() {
            let further: Vec<_> = to.iter().flat_map(|name| before[name].clone()).collect();
            to.extend(further);
        }
    }
    leads_to
}

/// Fails if a diagram has a circle, lacks one of `names` or has others, or does not lead from a user to what it uses.
fn check_diagram(diagram: &BTreeMap<String, BTreeSet<String>>, names: &BTreeSet<&str>, uses: &Uses) {
    let drawn: BTreeSet<_> = diagram.keys().map(String::as_str).collect();
    assert_eq!(&drawn, names);
    for (name, to) in diagram {
        assert!(!to.contains(name), "the diagram leads from `{name}` back to it");
    }
    for ((user, used), places) in uses {
        assert!(diagram[user].contains(used), "`{used}` is left of `{user}`:\n{}", places.join("\n"));
    }
}

/// Checks the modules directly in a folder of the server against their table and their diagram.
fn check_modules(folder: &str, before: &str, table: &[(&str, &str, &str)], declares: &str) {
    let workspace = workspace();
    let server = workspace.crates.iter().find(|of| of.name == "catalog-server").unwrap();
    let server: Vec<&Source> = server.sources.iter().collect();
    let sources: Vec<&Source> =
        server.iter().copied().filter(|source| parts::part(folder, &source.path).is_some()).collect();
    let all = parts::parts(&sources, folder);
    assert_eq!(all, table.iter().map(|(name, ..)| *name).collect());

    let of_modules = table.iter().map(|(name, modules, _)| ((*name).to_owned(), names(modules))).collect();
    let uses = parts::uses(&server, folder, "catalog_server");
    check_table(&of_modules, &uses);
    let drawn = all.into_iter().filter(|name| *name != declares).collect();
    check_diagram(&diagram(before), &drawn, &uses);

    let of_crates = table.iter().map(|(name, _, crates)| ((*name).to_owned(), names(crates))).collect();
    let mut uses = Uses::new();
    for Crate { name, .. } in &workspace.crates {
        let name = name.replace('-', "_");
        for used in modules::crate_uses(sources.iter().copied(), &name) {
            let module = parts::part(folder, &used.from).unwrap().to_owned();
            // The binary uses its library, which is in the table of modules.
            if name != "catalog_server" {
                let place = format!("{}:{}", used.from, used.line);
                uses.entry((module, name.clone())).or_default().push(place);
            }
        }
    }
    check_table(&of_crates, &uses);
}

#[test]
fn modules_of_the_server_use_only_modules_to_their_right() {
    check_modules("catalog-server/src", "Dependencies go from left to right only:", &MODULES, "lib");
}

#[test]
fn modules_of_the_store_use_only_modules_to_their_right() {
    check_modules("catalog-server/src/store", "Within `store`:", &STORE, "mod");
}

/// Dependencies of a crate on others of the workspace, in the sections of its manifest whose name ends with
/// `section`.
fn dependencies(name: &str, section: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    let mut current = "";
    let mut found = BTreeSet::new();
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            current = header.trim_end_matches(']');
            let is_plain = !current.contains("dependencies.") && current != "build-dependencies";
            assert!(is_plain, "{name}: `{line}` is not read");
        } else if current == section || current.ends_with(&format!(".{section}")) {
            let dependency = line.split(['.', '=', ' ']).next().unwrap();
            assert!(!line.contains("package ="), "{name}: `{line}` gives a crate another name");
            assert!(!line.contains("path ="), "{name}: `{line}` is not one of the workspace's dependencies");
            found.insert(dependency.to_owned());
        }
    }
    found.retain(|dependency| CRATES.iter().any(|(name, ..)| name == dependency));
    found
}

#[test]
fn crates_depend_only_on_crates_to_their_right() {
    let all: BTreeSet<_> = CRATES.iter().map(|(name, ..)| *name).collect();
    let workspace = workspace();
    let shipped = workspace.crates.iter().map(|of| of.name.as_str());
    assert_eq!(all, shipped.chain(["tests"]).collect());
    let mut uses = Uses::new();
    for (name, product, tests) in CRATES {
        assert_eq!(dependencies(name, "dependencies"), names(product), "dependencies of {name}");
        assert_eq!(
            dependencies(name, "dev-dependencies"),
            names(tests),
            "dependencies of the tests of {name}"
        );
        for used in names(product) {
            uses.insert((name.to_owned(), used), Vec::new());
        }
    }
    check_diagram(&diagram("Crates depend on crates to their right:"), &all, &uses);
}

#[test]
fn some_modules_use_only_a_part_of_a_crate() {
    let workspace = workspace();
    for (folder, name, allowed) in PARTS_OF_CRATES {
        let below = workspace.product().into_iter().filter(|source| source.path.starts_with(folder));
        let mut unused: BTreeSet<_> = allowed.iter().collect();
        for used in modules::crate_uses(below, name) {
            let path = used.path.join("::");
            let matches = |allowed: &&&str| {
                path.strip_prefix(**allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            let found = allowed.iter().find(matches);
            let place = format!("{}:{}", used.from, used.line);
            assert!(found.is_some(), "{place}: of `{name}` only {allowed:?} may be used, not `{path}`");
            unused.remove(found.unwrap());
        }
        assert!(unused.is_empty(), "{folder} does not use {unused:?} of `{name}`");
    }
}

#[test]
fn the_authorizer_uses_only_the_ids_of_the_store() {
    let (mut ids, workspace) = (0, workspace());
    for import in modules::imports(workspace.product()) {
        if import.from.starts_with("catalog-server/src/authz/")
            && import.to.starts_with("catalog-server/src/store/")
        {
            assert_eq!(import.to, "catalog-server/src/store/ids.rs", "{}:{}", import.from, import.line);
            ids += 1;
        }
    }
    assert!(ids > 0, "the authorizer knows nothing of the store: the rule checks nothing");
}

#[test]
fn tests_use_crates_only_where_they_test_or_drive_their_parts() {
    let workspace = workspace();
    let sources = || workspace.tests.iter().filter(|source| source.path.starts_with("tests/"));
    let mut uses = Uses::new();
    for Crate { name, .. } in &workspace.crates {
        let name = name.replace('-', "_");
        for used in modules::crate_uses(sources(), &name) {
            let path = match used.path.first() {
                Some(module) if name == "catalog_server" => format!("{name}::{module}"),
                _ => name.clone(),
            };
            let listed = USED_BY_TESTS.iter().find(|(listed, _)| *listed == path);
            let prefixes = listed.map_or(&[][..], |(_, prefixes)| prefixes);
            let prefix = prefixes.iter().find(|prefix| used.from.starts_with(**prefix));
            let place = prefix.map_or(used.from.clone(), |prefix| (*prefix).to_owned());
            uses.entry((path, place)).or_default().push(format!("{}:{}", used.from, used.line));
        }
    }
    let is_free = |path: &str| {
        ["catalog_server::clock", "catalog_server::id"].contains(&path)
            // Names of the actions, for the rule that they are spelled in one place.
            || path == "openapi"
    };
    uses.retain(|(path, _), _| !is_free(path));
    let lists = |(path, users): &(&str, &[&str])| {
        ((*path).to_owned(), users.iter().map(|user| (*user).to_owned()).collect())
    };
    check_table(&USED_BY_TESTS.iter().map(lists).collect(), &uses);
}
