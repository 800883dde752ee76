//! Rules for the sources themselves: words that are forbidden, or allowed in one place only. The suite
//! `dependencies` checks which modules and crates use each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use openapi::action::JobAction;
use tests::code::{Workspace, scan};

/// Folders of all crates.
const CRATES: [&str; 6] = ["catalog-server", "maintenance", "openapi", "storage", "table-core", "tests"];

/// Source folders of the product, in contrast to tests.
const PRODUCT: [&str; 5] =
    ["catalog-server/src", "maintenance/src", "openapi/src", "storage/src", "table-core/src"];

/// Source file: its path relative to the root of the repository, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn product(&self) -> &str {
        // A file with unit tests only, which its parent declares as `#[cfg(test)] mod tests`.
        if self.path.ends_with("/tests.rs") {
            return "";
        }
        self.text.split("#[cfg(test)]").next().unwrap_or_default()
    }

    /// Returns the lines of product code (before the unit tests, without comments) that contain `word`.
    fn lines_with(&self, word: &str) -> impl Iterator<Item = String> {
        let lines = self.product().lines().enumerate();
        let code = lines.filter(move |(_, line)| !line.trim_start().starts_with("//") && line.contains(word));
        code.map(|(number, line)| format!("{}:{}: {}", self.path, number + 1, line.trim()))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            files(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// Returns the Rust sources below some folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        files(&root().join(folder), &mut found);
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    assert!(!found.is_empty(), "nothing below {folders:?}");
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(),
    };
    found.into_iter().map(read).collect()
}

/// Fails if one of `words` occurs in code in `folders` outside of the paths that begin with one of `allowed`.
fn check_only_in(folders: &[&str], words: &[&str], allowed: &[&str]) {
    let mut wrong = Vec::new();
    let mut right = 0;
    for source in sources(folders) {
        let is_allowed = allowed.iter().any(|prefix| source.path.starts_with(prefix));
        for word in words {
            let lines: Vec<_> = source.lines_with(word).collect();
            if is_allowed {
                right += lines.len();
            } else {
                wrong.extend(lines);
            }
        }
    }
    assert!(wrong.is_empty(), "{words:?} belong in {allowed:?} only:\n{}", wrong.join("\n"));
    assert!(allowed.is_empty() || right > 0, "{words:?} are nowhere: the rule checks nothing");
}

#[test]
fn the_rules_cover_every_crate() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, members) = manifest.split_once("\nmembers = [").unwrap();
    let members: BTreeSet<_> = members.split(']').next().unwrap().split('"').skip(1).step_by(2).collect();
    assert_eq!(members, BTreeSet::from(CRATES));
    let shipped: BTreeSet<_> = CRATES.into_iter().filter(|name| *name != "tests").collect();
    let product: BTreeSet<_> = PRODUCT.iter().map(|folder| folder.trim_end_matches("/src")).collect();
    assert_eq!(product, shipped);
}

#[test]
fn sql_is_in_the_store_only() {
    check_only_in(&PRODUCT, &["sqlx::"], &["catalog-server/src/store/"]);
}

#[test]
fn http_is_in_the_api_only() {
    let allowed = [
        "catalog-server/src/api/",
        "catalog-server/src/connections/",
        "catalog-server/src/server.rs",
        "openapi/src/",
    ];
    check_only_in(&PRODUCT, &["axum::", "StatusCode", "utoipa"], &allowed);
}

#[test]
fn actions_of_maintenance_are_spelled_in_one_place() {
    for action in JobAction::ALL {
        check_only_in(&PRODUCT, &[&format!("\"{action}\"")], &["openapi/src/action.rs"]);
    }
}

#[test]
fn the_clock_is_read_in_one_place() {
    let words = ["SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"];
    check_only_in(&PRODUCT, &words, &["catalog-server/src/clock.rs"]);
}

#[test]
fn ids_are_made_in_one_place() {
    let words = ["new_v4", "now_v7", "new_v7", "new_v1"];
    check_only_in(&PRODUCT, &words, &["catalog-server/src/id.rs"]);
}

#[test]
fn random_numbers_are_made_in_one_place() {
    // The hashes of the pointer cache must not be known to clients, whose names it contains.
    let hashes = "catalog-server/src/store/catalog/pointer_cache.rs";
    check_only_in(&PRODUCT, &["RandomState"], &[hashes]);
    for folder in PRODUCT {
        let manifest = root().join(folder.trim_end_matches("/src")).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        let product = manifest.split("[dev-dependencies]").next().unwrap();
        for name in ["rand", "getrandom", "fastrand"] {
            let depends = product.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name));
            assert!(!depends, "{folder} depends on `{name}`");
        }
    }
}

#[test]
fn the_parquet_decoder_gets_only_validated_input() {
    let file = |name: &str| format!("table-core/src/file/{name}");
    let (footer, row_group) = (file("footer.rs"), file("parquet_reader/row_group.rs"));
    // What decodes metadata: the first file validates it with `thrift.rs`, the second with `pages.rs`.
    check_only_in(&PRODUCT, &["ParquetMetaDataReader"], &[&footer]);
    check_only_in(&PRODUCT, &["SerializedPageReader"], &[&row_group]);
    let others = [
        "SerializedFileReader",
        "ParquetRecordBatchReaderBuilder",
        "ArrowReaderBuilder",
        "ArrowReaderMetadata",
        "ParquetRecordBatchReader::try_new(",
        "ParquetMetaDataPushDecoder",
        "parquet_thrift",
        "parquet::thrift",
        "parquet::format",
    ];
    check_only_in(&PRODUCT, &others, &[]);
    for (path, validates) in
        [(&footer, "super::thrift::"), (&file("pages.rs"), "super::thrift::"), (&row_group, "pages::Pages")]
    {
        let source = sources(&["table-core/src/file"]).into_iter().find(|source| source.path == *path);
        assert!(source.unwrap().lines_with(validates).next().is_some(), "{path} does not use `{validates}`");
    }
}

#[test]
fn no_state_belongs_to_the_process() {
    check_only_in(&PRODUCT, &["thread_local!", "lazy_static!", "static mut "], &[]);
    // Tables of the Thrift format, the schema of the database, and the allocator.
    let allowed = [
        "table-core/src/file/shapes.rs",
        "catalog-server/src/store/database.rs",
        "catalog-server/src/main.rs",
    ];
    for source in sources(&PRODUCT) {
        for line in source.lines_with("static ") {
            let words: Vec<_> = line.split_whitespace().collect();
            let is_item = words.iter().skip(1).find(|word| !word.starts_with("pub")) == Some(&"static");
            assert!(!is_item || allowed.contains(&source.path.as_str()), "is it immutable? {line}");
        }
    }
}

#[test]
fn use_cases_do_not_use_the_file_system() {
    let allowed = [
        "catalog-server/src/connections/",
        "storage/src/local/",
        "catalog-server/src/store/engine/",
        "catalog-server/src/server.rs",
        "catalog-server/src/main.rs",
        "maintenance/src/execute/spill.rs",
        // The key file, and the files with secrets that a command is given.
        "catalog-server/src/secrets.rs",
        "catalog-server/src/cli/warehouse.rs",
    ];
    check_only_in(&PRODUCT, &["std::fs", "tokio::fs", "File::open", "folders::"], &allowed);
}

#[test]
fn object_stores_are_used_in_one_place() {
    check_only_in(&PRODUCT, &["object_store::"], &["storage/src/objects/"]);
}

#[test]
fn table_core_uses_neither_network_nor_database_nor_clock() {
    check_only_in(
        &["table-core/src"],
        &["axum", "sqlx", "tokio", "reqwest", "hyper", "async fn", "std::net"],
        &[],
    );
    let manifest = fs::read_to_string(root().join("table-core/Cargo.toml")).unwrap();
    let product = manifest.split("[dev-dependencies]").next().unwrap();
    for name in ["axum", "sqlx", "tokio"] {
        assert!(!product.lines().any(|line| line.starts_with(name)), "table-core depends on {name}");
    }
}

#[test]
fn maintenance_uses_catalogs_by_their_protocol_only() {
    check_only_in(&["maintenance/src"], &["axum", "sqlx"], &[]);
}

/// Returns the names of the tables in the migrations.
fn tables() -> BTreeSet<String> {
    let mut found = Vec::new();
    files(&root().join("catalog-server/migrations"), &mut found);
    let texts: Vec<_> = found.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let created = texts.iter().flat_map(|text| text.split("CREATE TABLE ").skip(1));
    created.map(|rest| rest.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_engine_of_the_store_uses_no_table_of_a_subject() {
    let tables = tables();
    assert!(tables.contains("tabulars") && tables.contains("clock_marks"));
    let mut own = 0;
    for source in sources(&["catalog-server/src/store/engine"]) {
        for line in source.lines_with(" ") {
            let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            for pair in words.windows(2) {
                let is_table =
                    ["FROM", "INTO", "JOIN", "UPDATE"].contains(&pair[0]) && tables.contains(pair[1]);
                // The corrections of the clock are the engine's own.
                let is_own = is_table && pair[1].starts_with("clock_");
                assert!(!is_table || is_own, "the engine knows the table `{}`: {line}", pair[1]);
                own += usize::from(is_own);
            }
        }
    }
    assert!(own > 0, "the engine knows no table at all: the rule checks nothing");
}

/// End of the block that contains `at`.
fn block_end(code: &str, at: usize) -> usize {
    let mut depth = 0_usize;
    for (length, letter) in code[at..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return at + length,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Text of the statement or expression that ends at `end`.
fn statement(code: &str, end: usize) -> &str {
    let mut depth = 0_usize;
    for (at, letter) in code[..end].char_indices().rev() {
        match letter {
            '(' | '[' | '{' | '}' | ';' if depth == 0 => return &code[at + 1..end],
            '(' | '[' | '{' => depth -= 1,
            ')' | ']' | '}' => depth += 1,
            _ => {}
        }
    }
    &code[..end]
}

#[test]
fn in_a_transaction_only_functions_that_take_it_are_awaited() {
    let (mut transactions, workspace) = (0, Workspace::read(&root()).unwrap());
    for source in workspace.product() {
        if !["catalog", "schedule"]
            .iter()
            .any(|folder| source.path.starts_with(&format!("catalog-server/src/{folder}/")))
        {
            continue;
        }
        let code = source.code.as_str();
        for (begin, _) in code.match_indices("tx = self.db.write(") {
            let begin = begin + code[begin..].find(';').unwrap();
            // Up to the last commit before the next transaction, or without one to the end of the block.
            let next = code[begin..].find("tx = self.db.write(").map_or(code.len(), |length| begin + length);
            let block = block_end(code, begin).min(next);
            let end = code[begin..block].rfind("tx.commit()").map_or(block, |length| begin + length);
            for (at, _) in code[begin..end].match_indices(".await") {
                let awaited = statement(code, begin + at);
                let line = source.line_of(begin + at);
                assert!(scan::words(awaited, "tx").next().is_some(), "{}:{line}: {awaited}", source.path);
            }
            transactions += 1;
        }
    }
    assert!(transactions > 0, "no transaction begins: the rule checks nothing");
}

#[test]
fn handlers_get_objects_only_from_functions_that_decide_about_access() {
    let words = [".find_unauthorized(", ".find_job("];
    check_only_in(&["catalog-server/src/api"], &words, &[]);
}

/// Functions of `catalog` and `schedule` that a handler may call without a request: they return nothing of the
/// catalog, or take an object that access was checked on.
const WITHOUT_REQUEST: [&str; 5] =
    ["catalog.clone", "catalog.ping", "catalog.record_gauges", "catalog.tables.load", "schedule.lease_ms"];

/// Paths in code without white space that start with `subject`, and what follows each.
fn paths<'a>(code: &'a str, subject: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let starts = code.match_indices(subject).filter(move |(at, _)| !code[..*at].ends_with(is_word));
    starts.map(move |(at, _)| {
        let end = code[at..].find(|letter| !is_word(letter) && letter != '.').unwrap_or_default();
        code[at..].split_at(end)
    })
}

#[test]
fn handlers_pass_the_request_to_every_use_case() {
    let requests = ["request", "&request", "&at.request", "&mutation.request", "&Request{"];
    let mut unused = BTreeSet::from(WITHOUT_REQUEST);
    for source in sources(&["catalog-server/src/api"]) {
        let lines = source.product().lines().filter(|line| !line.trim_start().starts_with("//"));
        // rustfmt breaks the chains of long calls.
        let code: String = lines.flat_map(str::split_whitespace).collect();
        for (path, rest) in ["catalog.", "schedule."].iter().flat_map(|subject| paths(&code, subject)) {
            let call = rest.strip_prefix('(').and_then(|rest| rest.split_inclusive([',', ')', '{']).next());
            let first = call.expect(path).trim_end_matches([',', ')']);
            let may_not = WITHOUT_REQUEST.contains(&path);
            let passes = requests.contains(&first);
            assert!(passes != may_not, "{}: `{path}` gets `{first}` instead of the request", source.path);
            unused.remove(path);
        }
    }
    assert!(unused.is_empty(), "no handler calls {unused:?}");
}

#[test]
fn handlers_use_no_rows_of_the_store() {
    for source in sources(&["catalog-server/src/api"]) {
        for line in source.lines_with("Row") {
            let row =
                line.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| word.ends_with("Row"));
            assert_eq!(row, None, "a handler sees a row: {line}");
        }
    }
}

#[test]
fn errors_are_handled_and_no_code_is_unfinished() {
    let words = [".unwrap()", "todo!", "unimplemented!", "dbg!", "println!", "process::exit"];
    check_only_in(&PRODUCT, &words, &["catalog-server/src/main.rs"]);
}

#[test]
fn no_code_panics_on_purpose() {
    // A key of any length suits HMAC.
    let keyed =
        ["catalog-server/src/catalog/scans/plan_id.rs", "catalog-server/src/catalog/scans/plan_task.rs"];
    check_only_in(&PRODUCT, &[".expect("], &keyed);
    let words = ["panic!(", "unreachable!", ".unwrap_err()", ".expect_err(", "unwrap_unchecked"];
    check_only_in(&PRODUCT, &words, &[]);
    for source in sources(&PRODUCT) {
        for word in ["assert!(", "assert_eq!(", "assert_ne!("] {
            for line in source.lines_with(word) {
                assert!(line.contains(&format!("debug_{word}")), "a check that may panic: {line}");
            }
        }
    }
}

#[test]
fn no_test_is_ignored() {
    // In two parts, so that this file itself does not match.
    let word = concat!("#[", "ignore");
    for source in sources(&CRATES) {
        assert!(!source.text.contains(word), "{} ignores a test", source.path);
    }
}

#[test]
fn every_file_has_a_module_comment_and_at_most_700_lines() {
    for source in sources(&[&PRODUCT[..], &["tests/src", "tests/tests"]].concat()) {
        assert!(source.text.starts_with("//!"), "{} does not start with `//!`", source.path);
        let lines = source.text.lines().count();
        assert!(lines <= 700, "{} has {lines} lines, more than 700", source.path);
    }
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |database: &str| -> BTreeSet<String> {
        let folder = root().join("catalog-server/migrations").join(database);
        fs::read_dir(folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(!names("sqlite").is_empty());
}

#[test]
fn no_file_contains_paths_of_a_development_machine() {
    for source in sources(&CRATES) {
        for word in [concat!("/wo", "rk/"), concat!("/ro", "ot/")] {
            assert!(!source.text.contains(word), "{} names `{word}`", source.path);
        }
    }
}
