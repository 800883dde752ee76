-- Tables noticed by themselves. Same tables, columns and indexes as ../postgres/0004_watch.sql.

-- How far a reader of the outbox, or of all tables, has come; replicas share one, and move it only from where they read it.
CREATE TABLE maintenance_cursors (
    name  TEXT PRIMARY KEY NOT NULL,
    at_ms INTEGER NOT NULL,
    id    BLOB NOT NULL
) STRICT;

-- When the table of a running job was changed first since it was leased: what the job sees of it may be older.
ALTER TABLE maintenance_jobs ADD COLUMN changed_ms INTEGER;

-- What became of an action of a table lately.
CREATE INDEX maintenance_jobs_by_action ON maintenance_jobs (tabular_id, action, job_id);
