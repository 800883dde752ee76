//! Third-party clients against the real server. Each suite is a program below `tests/clients` or `tests/rck`,
//! started here with the address of a server of its own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use catalog_server::clock::Stopwatch;
use tests::process::{self, Backend, Firn, Setup, binary, run};
use tests::{on_both_databases, reaper};
use tokio::sync::Mutex;

/// Limits the number of concurrent suites: a small machine can run only one or two Java virtual machines at a
/// time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

on_both_databases!(
    icebergs_compatibility_kit_passes,
    pyicebergs_own_catalog_tests_pass,
    engines_read_tables_of_each_other,
);

async fn icebergs_compatibility_kit_passes(backend: Backend) {
    let _turn = ONE_AT_A_TIME.lock().await;
    // The kit creates tables below `file:/tmp`. Tables of its last run may still be there, and the database
    // must not be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut setup = Setup::new(backend).await.with("FIRN_WAREHOUSE__LOCATION", "file:///tmp");
    setup.data_dir = folder.path().join("data");
    let firn = Firn::start(setup.with("FIRN_NEW_CATALOG", "true"));
    pass(&firn, "rck/run", &[firn.root(), "main"]);
}

async fn pyicebergs_own_catalog_tests_pass(backend: Backend) {
    let _turn = ONE_AT_A_TIME.lock().await;
    let firn = Firn::new(backend).await;
    pass(&firn, "clients/run-pyiceberg", &[firn.root()]);
}

async fn engines_read_tables_of_each_other(backend: Backend) {
    let _turn = ONE_AT_A_TIME.lock().await;
    // The suite expires snapshots a moment after they were replaced; the retention for time travel would
    // protect them.
    let firn = Firn::start(Setup::new(backend).await.with("FIRN_RETENTION__TIME_TRAVEL_MINUTES", "0"));
    let mut suite = Command::new(program("clients/run"));
    suite.args([firn.root(), "main"]);
    if backend == Backend::Postgres {
        // Database of the server that the torture test of maintenance kills.
        suite.env("FIRN_DATABASE_URL", Setup::new(backend).await.database_url());
    }
    pass_as(&firn, "clients/run", suite);
}

/// `engines_read_tables_of_each_other` has already compared each table with more filters, with plans that
/// are completed at once. Creating the tables takes most of the time, so asynchronous and paged plans share
/// one run.
#[test]
fn plans_that_are_made_in_the_background_and_fetched_in_parts_are_the_same() {
    run(async {
        let _turn = ONE_AT_A_TIME.lock().await;
        let setup = Setup::new(Backend::Postgres)
            .await
            .with("FIRN_PLANNING__SUBMIT_AFTER_MS", "0")
            .with("FIRN_PLANNING__INLINE_FILES", "2")
            .with("FIRN_PLANNING__TASK_FILES", "2");
        let firn = Firn::start(setup);
        let mut suite = Command::new(program("clients/run"));
        suite.args([firn.root(), "main", "test_plans.py"]);
        suite.env("FIRN_PLANNING", "async,paged").env("FIRN_FILTERS", "2");
        pass_as(&firn, "clients/run-plans", suite);
    });
}

/// Both commands use only the REST protocol, so that they work with any catalog.
#[test]
fn inspect_and_maintain_work_with_another_catalog() {
    run(async {
        let _turn = ONE_AT_A_TIME.lock().await;
        let reference = Reference::start();
        let mut suite = Command::new(program("clients/run"));
        suite.args([&reference.root, "rck", "test_inspect.py"]).env("FIRN_REFERENCE", "1");
        pass_suite("clients/run-inspect", suite);
        let mut suite = Command::new(program("clients/run"));
        let tests = "small_files_become_one or old_snapshots_are_expired";
        suite.args([&reference.root, "rck", "test_rewrites.py", "-k", tests]).env("FIRN_REFERENCE", "1");
        pass_suite("clients/run-maintain", suite);
    });
}

#[test]
fn schemathesis_finds_no_failure_and_no_undocumented_answer() {
    run(async {
        let _turn = ONE_AT_A_TIME.lock().await;
        let firn = Firn::new(Backend::Sqlite).await;
        let document = format!("{}/openapi.json", firn.root());
        pass(&firn, "clients/run-schemathesis", &[&document, firn.root()]);
    });
}

#[test]
fn the_printed_snippets_work_as_printed() {
    run(async {
        let _turn = ONE_AT_A_TIME.lock().await;
        let firn = Firn::new(Backend::Sqlite).await;
        let text = firn.setup().data_dir.with_extension("banner");
        std::fs::write(&text, firn.banner()).expect("the banner's text");
        pass(&firn, "clients/run-snippets", &[text.to_str().expect("a plain path")]);
    });
}

/// Runs a suite.
#[track_caller]
fn pass(firn: &Firn, suite: &str, arguments: &[&str]) {
    let mut command = Command::new(program(suite));
    command.args(arguments);
    pass_as(firn, suite, command);
}

fn program(suite: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(suite)
}

/// Runs a suite under a name. If it fails, its output is shown; it also fails if the server has panicked.
#[track_caller]
fn pass_as(firn: &Firn, suite: &str, command: Command) {
    let database = firn.setup().database_url.as_ref().map_or("sqlite", |_| "postgres");
    pass_suite(&format!("{suite}-{database}"), command);
    firn.check_no_panic();
}

#[track_caller]
fn pass_suite(suite: &str, mut command: Command) {
    let output = command.env("FIRN_BINARY", binary()).output().expect("the suite's program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    keep(suite, &format!("{out}\n{err}"));
    assert!(output.status.success(), "{suite} failed with {}\n{out}\n{err}", output.status);
    // Summary of executed and skipped tests, visible with `--nocapture`.
    println!("{suite}: {}", out.lines().last().unwrap_or_default());
}

/// Iceberg's reference server, running as long as the value exists.
struct Reference {
    server: Child,
    root: String,
}

impl Reference {
    fn start() -> Reference {
        // The server cannot choose a free port itself. If another process takes this one before it starts,
        // the test fails.
        let free =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let server = Command::new(program("rck/serve"))
            .arg(free.port().to_string())
            .arg(reaper::folder("reference"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the reference server");
        reaper::register(server.id());
        let stopwatch = Stopwatch::start();
        while TcpStream::connect(free).is_err() {
            assert!(stopwatch.elapsed() < Duration::from_mins(1), "the reference server does not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Reference { server, root: format!("http://{free}") }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        process::end(&mut self.server);
    }
}

/// Saves the output in a file, to be read after a run.
fn keep(suite: &str, text: &str) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Errors are ignored: the file is a convenience, and the assertion that follows is the test.
    drop(std::fs::write(folder.join(format!("{}.log", suite.replace('/', "-"))), text));
}
