//! Ratchets of the product code: counts that may fall but not rise.
//!
//! `cargo run -p tests --bin measure-code` prints the counts, and `--list` what they consist of.

use std::path::Path;

use tests::code::Workspace;
use tests::code::frames::{self, Frame};
use tests::code::measures::{self, Finding};
use tests::code::source::Source;

/// Sources of the product crates.
fn workspace() -> Workspace {
    Workspace::read(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap()
}

/// Fails if `found` is more than `most`; also if it is less, so that the ceiling comes down with it.
fn check(what: &str, found: &[String], most: usize) {
    assert!(found.len() <= most, "{} {what}, at most {most} are allowed:\n{}", found.len(), found.join("\n"));
    assert!(found.len() == most, "only {} {what} are left: lower the ceiling of {most} to that", found.len());
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|finding| format!("{}: {}", finding.path, finding.text)).collect()
}

#[test]
fn no_more_modules_import_each_other() {
    let workspace = workspace();
    let mut found = Vec::new();
    for of_crate in &workspace.crates {
        let sources: Vec<&Source> = of_crate.sources.iter().collect();
        found.extend(measures::circles(&sources).files.iter().map(|circle| circle.members.join(" ↔ ")));
    }
    check("module circles", &found, 2);
}

#[test]
fn no_more_folders_are_wide() {
    let workspace = workspace();
    check(
        "folders with more than 15 files",
        &lines(&measures::sizes(&workspace.product()).wide_folders.offenders),
        6,
    );
}

#[test]
fn no_more_functions_and_files_are_long() {
    let workspace = workspace();
    let sizes = measures::sizes(&workspace.product());
    check("functions of more than 70 lines", &lines(&sizes.long_functions.offenders), 0);
    check("files of more than 500 lines", &lines(&sizes.long_files.offenders), 0);
}

#[test]
fn no_more_type_names_have_two_meanings() {
    let names = measures::names(&workspace().product());
    let repeated: Vec<_> = names.repeated.iter().map(|repeated| repeated.name.clone()).collect();
    check("type names that are declared more than once", &repeated, 3);
}

#[test]
fn public_functions_say_when_they_fail_and_docs_name_their_subject() {
    let workspace = workspace();
    let docs = measures::docs(&workspace.product());
    check("public functions without a section on errors", &lines(&docs.without_errors.offenders), 0);
    check("docs that begin with a question word", &lines(&docs.questions.offenders), 0);
}

const TABLES_API: &str = "catalog-server/src/api/iceberg/tables.rs";
const IDEMPOTENT: &str = "catalog-server/src/api/idempotent.rs";
const TABLE_COMMIT: &str = "catalog-server/src/catalog/tables/commit.rs";
const TABLE_CREATION: &str = "catalog-server/src/catalog/tables/create.rs";
const TABULARS: &str = "catalog-server/src/catalog/tabulars/mod.rs";
const COMMITS: &str = "catalog-server/src/store/commits/mod.rs";
const ONE_STATEMENT: &str = "catalog-server/src/store/commits/one_statement.rs";
const TABULAR_ROWS: &str = "catalog-server/src/store/catalog/tabulars.rs";

/// Use cases with the number of functions between their handler and the one that holds their statement, both
/// included, and these functions.
const USE_CASES: [(&str, usize, &[Frame]); 7] = [
    (
        "load a table",
        5,
        &[
            (TABLES_API, "load_table"),
            ("catalog-server/src/catalog/tables/mod.rs", "require"),
            (TABULARS, "require"),
            (TABULAR_ROWS, "find"),
            (TABULAR_ROWS, "read"),
        ],
    ),
    (
        "commit to a table on PostgreSQL",
        5,
        &[
            (TABLES_API, "commit_table"),
            (IDEMPOTENT, "run"),
            (TABLE_COMMIT, "commit"),
            (COMMITS, "commit"),
            (ONE_STATEMENT, "commit"),
        ],
    ),
    (
        "commit to a table on SQLite",
        6,
        &[
            (TABLES_API, "commit_table"),
            (IDEMPOTENT, "run"),
            (TABLE_COMMIT, "commit"),
            (COMMITS, "commit"),
            (COMMITS, "change_in"),
            (TABULAR_ROWS, "swap_pointer"),
        ],
    ),
    (
        "commit to several tables",
        6,
        &[
            ("catalog-server/src/api/iceberg/transactions.rs", "commit_transaction"),
            (IDEMPOTENT, "run"),
            (TABLE_COMMIT, "commit"),
            (COMMITS, "commit"),
            (COMMITS, "change_in"),
            (TABULAR_ROWS, "swap_pointer"),
        ],
    ),
    (
        "create a table on PostgreSQL",
        6,
        &[
            (TABLES_API, "create_table"),
            (IDEMPOTENT, "run"),
            (TABLE_CREATION, "create"),
            (TABULARS, "commit"),
            (COMMITS, "commit"),
            (ONE_STATEMENT, "commit"),
        ],
    ),
    (
        "create a table on SQLite",
        7,
        &[
            (TABLES_API, "create_table"),
            (IDEMPOTENT, "run"),
            (TABLE_CREATION, "create"),
            (TABULARS, "commit"),
            (COMMITS, "commit"),
            (COMMITS, "change_in"),
            (TABULAR_ROWS, "create"),
        ],
    ),
    (
        "lease a job",
        4,
        &[
            ("catalog-server/src/api/governance/workers.rs", "lease_job"),
            ("catalog-server/src/schedule/leases.rs", "lease_job"),
            ("catalog-server/src/schedule/leases.rs", "try_lease"),
            ("catalog-server/src/store/maintenance/jobs/lease.rs", "lease"),
        ],
    ),
];

#[test]
fn use_cases_reach_their_statement_in_few_functions() {
    let workspace = workspace();
    let sources = workspace.product();
    for (use_case, most, chain) in USE_CASES {
        assert_eq!(frames::problems(&sources, chain), Vec::<String>::new(), "{use_case}");
        let functions: Vec<_> = chain.iter().map(|(path, name)| format!("{path}: `{name}`")).collect();
        check(&format!("functions to {use_case}"), &functions, most);
    }
}
