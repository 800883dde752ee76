//! PostgreSQL server for tests: started with its own data directory and Unix socket, without a network port,
//! and removed at the end. Servers that already run are never used.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use catalog_server::store::database;
use catalog_server::store::engine::options::DbOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

/// Shell script that runs the server until its standard input ends, which happens when the process that
/// started it exits for any reason; it then stops the server and removes its directory. It ignores interrupts
/// from the terminal: these end the tests, which in turn end the script.
const REAPER: &str = r#"
    trap '' INT TERM HUP
    binaries=$1 directory=$2; shift 2
    "$binaries/postgres" -D "$directory/data" -k "$directory" -c listen_addresses= "$@" \
        >"$directory/log" 2>&1 &
    server=$!
    read -r _
    kill -QUIT $server
    wait $server
    rm -rf "$directory"
"#;

/// Only superuser. Every process that can open the socket is trusted.
const USER: &str = "firn";

const TEMPLATE: &str = "firn_template";

/// Running PostgreSQL server, stopped and removed when it is dropped or when the process exits.
pub struct Postgres {
    directory: PathBuf,
    reaper: Child,
    template: OnceCell<()>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server with these settings in addition to the defaults. `fsync` is on unless the settings
    /// turn it off.
    ///
    /// # Errors
    ///
    /// Fails if PostgreSQL is not installed, its data directory cannot be created or initialised (`initdb`),
    /// the process cannot be started, or the server does not accept connections within 30 seconds.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let binaries = find_binaries()?;
        let directory = tempfile::Builder::new().prefix("firn-pg-").tempdir()?.keep();
        let user = Unprivileged::find()?;
        user.own(&directory)?;

        // The locale sorts in an order other than that of the bytes, so that a column without an explicit
        // collation is detected by tests.
        let created = user
            .command(&binaries.join("initdb"))
            .args(["--auth=trust", "--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US"])
            .args(["--no-sync", "-U", USER, "-D"])
            .arg(directory.join("data"))
            .current_dir(&directory)
            .output()?;
        ensure!(created.status.success(), "initdb failed: {}", String::from_utf8_lossy(&created.stderr));

        let mut reaper = user.command(Path::new("sh"));
        reaper.args(["-c", REAPER, "sh"]).arg(&binaries).arg(&directory).args(["-c", "max_connections=400"]);
        for (name, value) in settings {
            reaper.arg("-c").arg(format!("{name}={value}"));
        }
        let reaper = reaper.current_dir(&directory).stdin(Stdio::piped()).spawn()?;
        let server = Self { directory, reaper, template: OnceCell::new(), databases: AtomicU32::new(0) };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Returns the server that all tests of this process share. It does not survive a power cut
    /// (`fsync=off`); tests of durability start their own server.
    ///
    /// # Errors
    ///
    /// Fails if the server has to be started and [`Postgres::start`] fails.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(&[("fsync", "off")])).await
    }

    /// Returns the URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user={USER}", self.directory.display())
    }

    /// Creates a database with Firn's schema, and returns its URL.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, refuses to create the database, or, for the first database, if
    /// a migration of the schema fails.
    pub async fn create_database(&self) -> Result<String> {
        self.template.get_or_try_init(|| self.create_template()).await?;
        self.create_from(TEMPLATE).await
    }

    /// Creates an empty database, and returns its URL.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses to create the database.
    pub async fn create_empty_database(&self) -> Result<String> {
        self.create_from("template0").await
    }

    async fn create_template(&self) -> Result<()> {
        self.execute(&format!("CREATE DATABASE {TEMPLATE}")).await?;
        let db = database::open(&self.url(TEMPLATE), &DbOptions::default()).await?;
        db.migrate().await?;
        db.close().await;
        Ok(())
    }

    async fn create_from(&self, template: &str) -> Result<String> {
        let database = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {database} TEMPLATE {template}")).await?;
        Ok(self.url(&database))
    }

    async fn execute(&self, sql: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url("postgres")).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.with_context(|| sql.to_owned())?;
        connection.close().await?;
        Ok(())
    }

    async fn wait_until_ready(&self) -> Result<()> {
        for _ in 0..600 {
            if let Ok(connection) = PgConnection::connect(&self.url("postgres")).await {
                connection.close().await?;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        bail!("PostgreSQL did not start within 30 s: {log}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.reaper.stdin.take());
        if let Err(error) = self.reaper.wait() {
            eprintln!("the PostgreSQL server in {} was not stopped: {error}", self.directory.display());
        }
    }
}

/// Account under which the server runs: PostgreSQL refuses to run as root.
enum Unprivileged {
    Ourselves,
    Account { uid: u32, gid: u32 },
}

impl Unprivileged {
    fn find() -> Result<Self> {
        if id(&["-u"])? != 0 {
            return Ok(Self::Ourselves);
        }
        let account = if id(&["-u", "postgres"]).is_ok() { "postgres" } else { "nobody" };
        Ok(Self::Account { uid: id(&["-u", account])?, gid: id(&["-g", account])? })
    }

    fn own(&self, directory: &Path) -> Result<()> {
        if let Self::Account { uid, gid } = self {
            std::os::unix::fs::chown(directory, Some(*uid), Some(*gid))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> Command {
        match self {
            Self::Ourselves => Command::new(program),
            Self::Account { uid, gid } => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--clear-groups");
                command.arg("--").arg(program);
                command
            }
        }
    }
}

fn id(arguments: &[&str]) -> Result<u32> {
    let output = Command::new("id").args(arguments).output()?;
    ensure!(output.status.success(), "`id {}` failed", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Returns the folder of `initdb` and `postgres`: one of the search path, else the newest version below
/// Debian's `/usr/lib/postgresql`.
fn find_binaries() -> Result<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).collect::<Vec<_>>();
    let mut debian = match std::fs::read_dir("/usr/lib/postgresql") {
        Ok(versions) => versions.flatten().map(|version| version.path().join("bin")).collect(),
        Err(_) => Vec::new(),
    };
    debian.sort_by_key(|path| {
        let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    on_path
        .into_iter()
        .chain(debian)
        .find(|path| path.join("initdb").is_file() && path.join("postgres").is_file())
        .context("these tests need PostgreSQL 15 or newer: apt-get install postgresql")
}
