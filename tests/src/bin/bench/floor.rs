//! Reference servers: axum servers that do the minimum of work, run as separate processes.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use clap::{Args, ValueEnum};
use sqlx::{PgPool, SqlitePool};

/// Options of a reference server.
#[derive(Args)]
pub struct Options {
    /// Work that it does before it answers
    #[arg(long)]
    kind: Kind,
    /// Size of its response, in bytes
    #[arg(long)]
    bytes: usize,
    /// URL of the database that it reads
    #[arg(long, default_value = "")]
    url: String,
}

/// Work of a reference server for each request.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// No work
    Bare,
    /// One indexed lookup in SQLite
    Sqlite,
    /// One indexed lookup in PostgreSQL
    Postgres,
}

/// Running reference server, stopped when dropped.
pub struct Floor {
    child: Child,
    /// Address on which it listens.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts a reference server. `url` is the URL of a database with a table `floor (namespace, name,
    /// location)`.
    ///
    /// # Errors
    ///
    /// Fails if the process cannot be started, or does not print its address.
    pub fn start(kind: Kind, bytes: usize, url: &str) -> anyhow::Result<Self> {
        let kind = kind.to_possible_value().context("a kind")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["floor", "--kind", kind.get_name(), "--bytes", &bytes.to_string(), "--url", url])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().context("the reference's output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { child, address: line.trim().parse().context("the reference's address")? })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // The process may already have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[derive(Clone)]
struct App {
    body: bytes::Bytes,
    sqlite: Option<SqlitePool>,
    postgres: Option<PgPool>,
}

const LOOKUP: &str = "SELECT location FROM floor WHERE namespace = $1 AND name = $2";

/// Serves requests until the process is killed.
///
/// # Errors
///
/// Fails if the database cannot be reached or the address cannot be bound.
pub async fn serve(options: Options) -> anyhow::Result<()> {
    let mut app = App { body: vec![b'x'; options.bytes].into(), sqlite: None, postgres: None };
    match options.kind {
        Kind::Bare => {}
        Kind::Sqlite => app.sqlite = Some(SqlitePool::connect(&options.url).await?),
        Kind::Postgres => {
            let pool = sqlx::postgres::PgPoolOptions::new().max_connections(16).test_before_acquire(false);
            app.postgres = Some(pool.connect(&options.url).await?);
        }
    }
    let path = "/v1/{prefix}/namespaces/{namespace}/tables/{table}";
    let router = match options.kind {
        Kind::Bare => Router::new().route(path, get(bare)),
        Kind::Sqlite | Kind::Postgres => Router::new().route(path, get(lookup)),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router.with_state(app)).await?)
}

async fn bare(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.body).into_response()
}

async fn lookup(
    State(app): State<App>,
    Path((_, namespace, table)): Path<(String, String, String)>,
) -> Result<Response, StatusCode> {
    let found: Result<Option<String>, sqlx::Error> = if let Some(pool) = &app.sqlite {
        sqlx::query_scalar(LOOKUP).bind(&namespace).bind(&table).fetch_optional(pool).await
    } else if let Some(pool) = &app.postgres {
        sqlx::query_scalar(LOOKUP).bind(&namespace).bind(&table).fetch_optional(pool).await
    } else {
        Ok(None)
    };
    match found {
        Ok(Some(_)) => Ok(bare(State(app)).await),
        Ok(None) => Err(StatusCode::NOT_FOUND),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
