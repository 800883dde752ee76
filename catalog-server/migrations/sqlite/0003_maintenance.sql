-- Maintenance. Same tables, columns and indexes as ../postgres/0003_maintenance.sql.

-- What is wanted for a warehouse, a namespace or a table; the most specific wins, setting by setting.
CREATE TABLE maintenance_policies (
    scope_id     BLOB PRIMARY KEY NOT NULL,
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    kind         TEXT NOT NULL CHECK (kind IN ('warehouse', 'namespace', 'table')),
    document     TEXT NOT NULL,
    version      INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    updated_by   TEXT NOT NULL
) STRICT;

-- `due_ms` is when a worker may take a queued job; `lease_until_ms` is when a running one is anybody's again. A job keeps the
-- name that its table had, for people; its id is what counts.
CREATE TABLE maintenance_jobs (
    job_id         BLOB PRIMARY KEY NOT NULL,
    warehouse_id   BLOB NOT NULL REFERENCES warehouses,
    tabular_id     BLOB NOT NULL,
    table_name     TEXT NOT NULL,
    action         TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    options        TEXT NOT NULL,
    reason         TEXT NOT NULL,
    requested_by   TEXT NOT NULL,
    rank           INTEGER NOT NULL,
    attempt        INTEGER NOT NULL,
    worker         TEXT,
    cancel_wanted  INTEGER NOT NULL,
    progress       TEXT,
    result         TEXT,
    error          TEXT,
    created_ms     INTEGER NOT NULL,
    due_ms         INTEGER NOT NULL,
    lease_until_ms INTEGER,
    started_ms     INTEGER,
    finished_ms    INTEGER
) STRICT;
-- The same work is not queued twice, and no two jobs commit to one table.
CREATE UNIQUE INDEX maintenance_jobs_open ON maintenance_jobs (tabular_id, action)
    WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX maintenance_jobs_one_committer ON maintenance_jobs (tabular_id) WHERE state = 'running';
CREATE INDEX maintenance_jobs_by_rank ON maintenance_jobs (rank DESC, job_id) WHERE state = 'queued';
CREATE INDEX maintenance_jobs_by_lease ON maintenance_jobs (lease_until_ms) WHERE state = 'running';
CREATE INDEX maintenance_jobs_by_table ON maintenance_jobs (tabular_id, job_id);

-- Files that a job is about to write, told before they are: whatever is left of a job that died can be found.
CREATE TABLE maintenance_outputs (
    job_id  BLOB NOT NULL REFERENCES maintenance_jobs ON DELETE CASCADE,
    path    TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (job_id, path)
) STRICT, WITHOUT ROWID;

-- Tables that the daemon leaves alone until somebody resumes them.
CREATE TABLE maintenance_pauses (
    tabular_id BLOB PRIMARY KEY NOT NULL,
    reason     TEXT NOT NULL,
    since_ms   INTEGER NOT NULL,
    paused_by  TEXT NOT NULL
) STRICT;
