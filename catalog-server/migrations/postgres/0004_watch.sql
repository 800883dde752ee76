-- Tables noticed by themselves. Same tables, columns and indexes as ../sqlite/0004_watch.sql.

-- How far a reader of the outbox, or of all tables, has come; replicas share one, and move it only from where they read it.
CREATE TABLE maintenance_cursors (
    name  TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    id    UUID NOT NULL
);

-- When the table of a running job was changed first since it was leased: what the job sees of it may be older.
ALTER TABLE maintenance_jobs ADD COLUMN changed_ms BIGINT;

-- What became of an action of a table lately.
CREATE INDEX maintenance_jobs_by_action ON maintenance_jobs (tabular_id, action, job_id);
