//! A PostgreSQL server to throw away: its own data directory, its own socket, no network port.
//! Not a way to reach a server that somebody else runs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use catalog_server::store::db::{Db, DbOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;

/// Runs the server until its standard input ends, which it does when the process that started it
/// exits, in whatever way; then leaves nothing behind. An interrupt from the terminal is for the
/// tests, which then exit.
const KEEPER: &str = r#"
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

/// The one superuser. Everybody who may open the socket is let in.
const USER: &str = "firn";

const TEMPLATE: &str = "firn_template";

/// A running server, stopped and removed when dropped or when the process exits.
pub struct Postgres {
    directory: PathBuf,
    keeper: Child,
    template: OnceCell<()>,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server with these settings on top of the defaults; `fsync` is on unless they say
    /// otherwise.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let binaries = find_binaries()?;
        let directory = tempfile::Builder::new().prefix("firn-pg-").tempdir()?.keep();
        let user = Unprivileged::find()?;
        user.own(&directory)?;

        // A locale whose order is not that of the bytes: a column that forgot to say how it
        // compares is found out.
        let created = user
            .command(&binaries.join("initdb"))
            .args(["--auth=trust", "--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en-US"])
            .args(["--no-sync", "-U", USER, "-D"])
            .arg(directory.join("data"))
            .current_dir(&directory)
            .output()?;
        ensure!(created.status.success(), "initdb failed: {}", String::from_utf8_lossy(&created.stderr));

        let mut keeper = user.command(Path::new("sh"));
        keeper.args(["-c", KEEPER, "sh"]).arg(&binaries).arg(&directory).args(["-c", "max_connections=400"]);
        for (name, value) in settings {
            keeper.arg("-c").arg(format!("{name}={value}"));
        }
        let keeper = keeper.current_dir(&directory).stdin(Stdio::piped()).spawn()?;
        let server = Self { directory, keeper, template: OnceCell::new(), databases: AtomicU32::new(0) };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The server that all tests of this process share. It forgets what a power cut would take
    /// (`fsync=off`); tests of durability start their own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(&[("fsync", "off")])).await
    }

    /// The URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?host={}&user={USER}", self.directory.display())
    }

    /// Creates a database with Firn's schema in it and gives its URL.
    pub async fn create_database(&self) -> Result<String> {
        self.template.get_or_try_init(|| self.create_template()).await?;
        self.create_from(TEMPLATE).await
    }

    /// Creates a database with nothing in it and gives its URL.
    pub async fn create_empty_database(&self) -> Result<String> {
        self.create_from("template0").await
    }

    async fn create_template(&self) -> Result<()> {
        self.execute(&format!("CREATE DATABASE {TEMPLATE}")).await?;
        let db = Db::connect(&self.url(TEMPLATE), &DbOptions::default()).await?;
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
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            eprintln!("the PostgreSQL server in {} was not stopped: {error}", self.directory.display());
        }
    }
}

/// The account the server runs under: PostgreSQL refuses to run as root.
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

/// Where `initdb` and `postgres` are: on the search path, else where Debian puts the newest.
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
