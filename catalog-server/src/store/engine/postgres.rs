//! PostgreSQL backend: any number of processes, each with a pool of connections.

use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Transaction, query_as, query_scalar};

use super::error::StoreError;
use super::options::DbOptions;
use super::schema::DbSchema;
use super::target::bounded;

/// Key of the advisory lock that every write transaction takes in shared mode, and settling takes
/// exclusively.
pub(in crate::store) const WRITERS_LOCK: i64 = 0x6669_726e_7772_6974;

/// Idle time after which a connection is checked before it is used, because the server may have been
/// restarted meanwhile. A connection used more recently fails with an error that asks the client to retry.
const FRESH: Duration = Duration::from_secs(1);

/// Maximum time that a transaction may be idle between two statements, in milliseconds. Then the server
/// aborts it, which releases the locks of a process that hangs.
const IDLE_IN_TRANSACTION_MS: &str = "60000";

/// Setting that makes PostgreSQL use an index wherever there is one. A connection keeps the plan of a statement until
/// the statistics are renewed; a scan that was chosen for a small table would become slower with every row.
const NO_SCANS: (&str, &str) = ("enable_seqscan", "off");
/// Setting against the compilation of queries, which [`NO_SCANS`] would cause where there is no index.
const NO_COMPILATION: (&str, &str) = ("jit", "off");

/// Query for the clock of the server in milliseconds since 1970.
const NOW_MS: &str = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Parameters of a database URL that have an effect. All others are removed, because sqlx logs them with
/// their values, which may be misspelt passwords.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];
/// Name of the parameter `options`, and prefix of each `options[name]`.
const OPTIONS: &str = "options";

pub(super) struct Postgres {
    pub(super) pool: PgPool,
}

impl Postgres {
    pub(super) async fn open(url: &str, options: &DbOptions) -> Result<Self, StoreError> {
        let timeout_ms = options.statement_timeout.as_millis().to_string();
        let server = PgConnectOptions::from_str(&known_parameters(url))
            .map_err(|error| StoreError::Unsupported(format!("the database URL is not valid: {error}")))?
            .application_name("firn")
            .options([
                ("statement_timeout", timeout_ms.as_str()),
                ("lock_timeout", timeout_ms.as_str()),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS),
                NO_SCANS,
                NO_COMPILATION,
            ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, seen| {
                Box::pin(async move {
                    if seen.idle_for > FRESH {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(server)
            .await?;
        require_supported(&pool).await?;
        Ok(Self { pool })
    }

    /// Migrates over a separate connection without timeouts: a migration may take longer than any statement
    /// of the catalog, and closing the connection releases its lock in all cases.
    pub(super) async fn migrate(&self, schema: &DbSchema) -> Result<(), StoreError> {
        let server = (*self.pool.connect_options()).clone().options([
            ("statement_timeout", "0"),
            ("lock_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
        ]);
        let mut connection = PgConnection::connect_with(&server).await?;
        let migrated = schema.postgres.run(&mut connection).await;
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "cannot close the connection of the migration");
        }
        Ok(migrated?)
    }

    pub(super) async fn begin(&self) -> Result<(Transaction<'static, sqlx::Postgres>, i64), StoreError> {
        // The clock is read after the lock is taken: a later `settle` waits for this transaction, and an
        // earlier one has seen an earlier time.
        const SQL: &str = "
            SELECT pg_advisory_xact_lock_shared($1), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

        // The isolation level is set explicitly, because all statements rely on seeing what was committed
        // while they waited.
        let mut transaction = bounded(self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")).await?;
        let ((), at_ms) =
            bounded(query_as::<_, ((), i64)>(SQL).bind(WRITERS_LOCK).fetch_one(&mut *transaction)).await?;
        Ok((transaction, at_ms))
    }

    pub(super) async fn settle(&self) -> Result<i64, StoreError> {
        const SQL: &str = "
            SELECT pg_advisory_xact_lock($1), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

        let ((), now_ms) =
            bounded(query_as::<_, ((), i64)>(SQL).bind(WRITERS_LOCK).fetch_one(&self.pool)).await?;
        Ok(now_ms)
    }

    pub(super) async fn now_ms(&self) -> Result<i64, StoreError> {
        Ok(bounded(query_scalar(NOW_MS).fetch_one(&self.pool)).await?)
    }
}

/// Returns the URL without the parameters that have no effect. Their names are logged.
fn known_parameters(url: &str) -> String {
    let Some((address, parameters)) = url.split_once('?') else { return url.to_owned() };
    let mut known = Vec::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        let decoded = percent_decode_str(name).decode_utf8_lossy();
        if PARAMETERS.contains(&&*decoded) || is_option(&decoded) {
            known.push(parameter);
        } else if parameter.contains('=') {
            tracing::warn!(parameter = ?decoded, "the database URL has an unknown parameter; it is ignored");
        } else {
            tracing::warn!("the database URL has a parameter without a value; it is ignored");
        }
    }
    if known.is_empty() { address.to_owned() } else { format!("{address}?{}", known.join("&")) }
}

/// Returns `true` for `options` and `options[…]`.
fn is_option(name: &str) -> bool {
    name.strip_prefix(OPTIONS).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

async fn require_supported(pool: &PgPool) -> Result<(), StoreError> {
    const SQL: &str = "
        SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
               current_setting('server_encoding')";

    let (number, version, encoding): (i64, String, String) = bounded(query_as(SQL).fetch_one(pool)).await?;
    if number < 150_000 {
        return Err(StoreError::Unsupported(format!(
            "PostgreSQL {version} is too old; firn needs version 15 or newer"
        )));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Unsupported(format!(
            "the database's encoding is `{encoding}`; firn needs one created with ENCODING 'UTF8'"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_that_mean_something_reach_the_library() {
        for (url, expected) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d"),
            ("postgres://h/d?passwrod=geheim", "postgres://h/d"),
            ("postgres://h/d?geheim", "postgres://h/d"),
            (
                "postgres://h/d?sslmode=disable&x=geheim&host=/run&options[a]=b&options=-c%20c=d",
                "postgres://h/d?sslmode=disable&host=/run&options[a]=b&options=-c%20c=d",
            ),
            ("postgres://h/d?%68ost=/run", "postgres://h/d?%68ost=/run"),
        ] {
            assert_eq!(known_parameters(url), expected);
        }
    }
}
