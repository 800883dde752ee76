//! Options and help of `firn serve`. The server itself is started by `main.rs`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Serve the catalog over HTTP.
///
/// The first start creates everything it needs: a SQLite database and the warehouse `main` on local files,
/// both in the data directory. Engines connect to the root URL of the server, such as
/// <http://127.0.0.1:8181>, as an Iceberg REST catalog.
#[derive(Args, Default)]
#[command(after_long_help = HELP)]
pub struct Serve {
    /// TOML file with settings; see below
    #[arg(long, env = "FIRN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the default database and warehouse [default: ./firn-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:8181]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// `postgres://user:password@host/database` (15 or newer) or `sqlite:///path/file.db` [default: a SQLite
    /// file in the data directory]
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Begin an empty catalog even if the warehouse's folder contains tables. Without this flag that is an
    /// error, because the SQLite file may have been lost
    #[arg(long)]
    pub new_catalog: bool,
}

const HELP: &str = "\
Settings come from the file, then from FIRN_* variables, then from flags; later ones win. Unknown ones are an error; variables
that are no settings are ignored, with a warning.
A file with every default:

    data-dir = \"./firn-data\"
    listen = \"127.0.0.1:8181\"
    # database-url = \"postgres://firn:secret@db.example/firn\"
    database-connections = 16
    new-catalog = false                      # begin an empty catalog although the warehouse's folder contains tables

    [warehouse]
    name = \"main\"
    # location = \"file:///srv/warehouse\"     # a folder in the data directory if absent
    scan-planning-mode = \"unset\"             # where clients plan scans: \"client\", \"server\", or either

    [limits]
    body-bytes = 33554432                    # largest request
    bodies-bytes = 268435456                 # memory for the large requests of all clients together
    request-ms = 60000                       # longest request
    header-ms = 10000                        # longest wait for a request's headers
    idle-ms = 120000                         # longest wait for a connection's next request
    stall-ms = 30000                         # longest wait for a client that does not read its answer
    connections = 4096                       # most connections that may be open
    drain-ms = 30000                         # longest wait for requests in flight on shutdown
    page-entries = 10000                     # largest page of a list
    metadata-bytes = 268435456               # largest metadata file

    [cache]
    metadata-bytes = 268435456               # memory for metadata documents
    manifest-bytes = 134217728               # memory for decoded manifests

    [planning]
    inline-files = 2000                      # up to so many files, a scan plan is one answer
    task-files = 5000                        # files in each plan task of a larger one
    submit-after-ms = 10000                  # longest wait for a plan; after it the client polls
    expiry-seconds = 3600                    # how long plans and plan tasks can be fetched
    memory-bytes = 268435456                 # memory for long filters that are being worked on
    parallel-manifests = 4                   # manifests read at once for one request

    [maintenance]
    lease-ms = 60000                         # how long a silent worker keeps a job
    attempts-max = 5                         # how many workers may die over a job
    history-days = 90                        # how long ended jobs are remembered
    debounce-ms = 60000                      # how long after a change a table is looked at
    sweep-minutes = 1440                     # how long after that it is looked at again anyway
    workers = 1                              # jobs that this server does at once; 0 leaves them to `firn maintain`
    memory-bytes = 1073741824                # memory for rows that each of them may take
    spill-bytes = 107374182400               # room on disk for rows that do not fit into that
    # spill-dir = \"/var/tmp\"                 # where that is; the system's folder for temporary files if absent
    requests-per-second = 0                  # most files and parts of files to touch; 0 for no limit
    nice = 10                                # how much everything else comes first, 0 to 19

    [retention]
    idempotency-minutes = 1440               # how long an Idempotency-Key is remembered
    outbox-days = 7                          # how long published events are kept
    reports-per-table = 100                  # metrics reports kept for each table
    time-travel-minutes = 7200               # how far back the catalog can be read as it was

    [log]
    level = \"info\"                           # or e.g. \"info,sqlx=debug\"
    format = \"text\"                          # or \"json\"

The variable for a setting joins its parts: FIRN_DATA_DIR, FIRN_LIMITS__BODY_BYTES, FIRN_LOG__FORMAT.

Examples:
    firn serve                                                  everything below ./firn-data
    firn serve --data-dir /srv/firn --listen 127.0.0.1:9000
    firn serve --database-url postgres://firn@localhost/firn    as many replicas as wanted
";
