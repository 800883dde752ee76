-- The catalog. Same tables, columns and indexes as ../postgres/0001_catalog.sql.
--
-- Identifiers are version 7 UUIDs made by the server, instants are milliseconds since 1970, JSON is
-- text that SQL never looks into. Text compares byte by byte, SQLite's default.

CREATE TABLE warehouses (
    warehouse_id BLOB PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL UNIQUE,
    location     TEXT NOT NULL,
    properties   TEXT NOT NULL,
    created_ms   INTEGER NOT NULL
) STRICT;

-- `path` is the levels joined by 0x1F; `parent_path` is '' for a top-level namespace.
CREATE TABLE namespaces (
    namespace_id BLOB PRIMARY KEY NOT NULL,
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    parent_path  TEXT NOT NULL,
    path         TEXT NOT NULL CHECK (path <> ''),
    properties   TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    UNIQUE (warehouse_id, path)
) STRICT;
CREATE INDEX namespaces_by_parent ON namespaces (warehouse_id, parent_path, path);

-- Tables and views share names.
CREATE TABLE tabulars (
    tabular_id        BLOB PRIMARY KEY NOT NULL,
    warehouse_id      BLOB NOT NULL REFERENCES warehouses,
    namespace_id      BLOB NOT NULL REFERENCES namespaces,
    kind              TEXT NOT NULL CHECK (kind IN ('table', 'view')),
    name              TEXT NOT NULL CHECK (name <> ''),
    metadata_location TEXT NOT NULL,
    table_uuid        BLOB NOT NULL,
    location          TEXT NOT NULL,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    UNIQUE (namespace_id, name)
) STRICT;
CREATE INDEX tabulars_by_kind ON tabulars (namespace_id, kind, name);

-- History: one row per state an object was in, true from `valid_from_ms` until just before
-- `valid_to_ms`, which is 9223372036854775807 while it still holds. A row whose two instants are
-- equal was never visible. `history_id` tells apart the states of one object within a millisecond.
CREATE TABLE namespace_history (
    history_id    INTEGER PRIMARY KEY,
    namespace_id  BLOB NOT NULL,
    warehouse_id  BLOB NOT NULL,
    parent_path   TEXT NOT NULL,
    path          TEXT NOT NULL,
    properties    TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    valid_from_ms INTEGER NOT NULL,
    valid_to_ms   INTEGER NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
) STRICT;
CREATE INDEX namespace_history_by_id ON namespace_history (namespace_id, valid_to_ms, valid_from_ms);
CREATE INDEX namespace_history_by_path ON namespace_history (warehouse_id, path, valid_to_ms);
CREATE INDEX namespace_history_by_parent ON namespace_history (warehouse_id, parent_path, path, valid_to_ms);

-- What a table or view was called. Apart from `pointer_history`, so that listing a namespace as of
-- an instant does not wade through the commits of the tables in it.
CREATE TABLE tabular_history (
    history_id    INTEGER PRIMARY KEY,
    tabular_id    BLOB NOT NULL,
    warehouse_id  BLOB NOT NULL,
    namespace_id  BLOB NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    valid_from_ms INTEGER NOT NULL,
    valid_to_ms   INTEGER NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
) STRICT;
CREATE INDEX tabular_history_by_id ON tabular_history (tabular_id, valid_to_ms, valid_from_ms);
CREATE INDEX tabular_history_by_name ON tabular_history (namespace_id, name, valid_to_ms);
CREATE INDEX tabular_history_by_kind ON tabular_history (namespace_id, kind, name, valid_to_ms);

-- What a table or view pointed to.
CREATE TABLE pointer_history (
    history_id        INTEGER PRIMARY KEY,
    tabular_id        BLOB NOT NULL,
    metadata_location TEXT NOT NULL,
    table_uuid        BLOB NOT NULL,
    location          TEXT NOT NULL,
    valid_from_ms     INTEGER NOT NULL,
    valid_to_ms       INTEGER NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
) STRICT;
CREATE INDEX pointer_history_by_instant ON pointer_history (tabular_id, valid_to_ms, valid_from_ms);
CREATE INDEX pointer_history_by_order ON pointer_history (tabular_id, history_id);

-- A commit is one statement, whose history follows by itself; `updated_ms` never runs backwards.
CREATE TRIGGER tabulars_pointer_moved AFTER UPDATE OF metadata_location ON tabulars
BEGIN
    UPDATE pointer_history SET valid_to_ms = NEW.updated_ms
    WHERE tabular_id = NEW.tabular_id AND valid_to_ms = 9223372036854775807;
    INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, valid_from_ms, valid_to_ms)
    VALUES (NEW.tabular_id, NEW.metadata_location, NEW.table_uuid, NEW.location, NEW.updated_ms,
            9223372036854775807);
END;

-- Which object owns the files under a prefix. Prefixes end in '/', so that `orders` is no ancestor
-- of `orders2`. An owner is a tabular, or the clean-up task that took over its files.
CREATE TABLE locations (
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    prefix       TEXT NOT NULL CHECK (prefix LIKE '%/'),
    owner_id     BLOB NOT NULL,
    PRIMARY KEY (warehouse_id, prefix)
) STRICT, WITHOUT ROWID;
CREATE INDEX locations_by_owner ON locations (owner_id);

-- `due_ms` is when a worker may take the task: its start, its next attempt, or the end of a lease.
CREATE TABLE cleanup_tasks (
    task_id      BLOB PRIMARY KEY NOT NULL,
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    kind         TEXT NOT NULL,
    payload      TEXT NOT NULL,
    progress     TEXT,
    created_ms   INTEGER NOT NULL,
    due_ms       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    leased_by    TEXT,
    last_error   TEXT
) STRICT;
CREATE INDEX cleanup_tasks_by_due ON cleanup_tasks (due_ms, task_id);

CREATE TABLE audit (
    audit_id    BLOB NOT NULL,
    at_ms       INTEGER NOT NULL,
    request_id  TEXT NOT NULL,
    caller      TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    object_id   BLOB,
    outcome     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (at_ms, audit_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_object ON audit (object_id, at_ms, audit_id);

-- The changes of the audit trail that are still to be told to others.
CREATE TABLE outbox (
    at_ms    INTEGER NOT NULL,
    audit_id BLOB NOT NULL,
    PRIMARY KEY (at_ms, audit_id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER audit_changes_are_told AFTER INSERT ON audit WHEN NEW.outcome = 'done'
BEGIN
    INSERT INTO outbox (at_ms, audit_id) VALUES (NEW.at_ms, NEW.audit_id);
END;

CREATE TABLE idempotency (
    caller            TEXT NOT NULL,
    key               TEXT NOT NULL,
    fingerprint       TEXT NOT NULL,
    status            INTEGER NOT NULL,
    body              TEXT,
    metadata_location TEXT,
    created_ms        INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT;
CREATE INDEX idempotency_by_time ON idempotency (created_ms);

CREATE TABLE reports (
    report_id   BLOB PRIMARY KEY NOT NULL,
    tabular_id  BLOB NOT NULL REFERENCES tabulars ON DELETE CASCADE,
    received_ms INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('scan', 'commit')),
    snapshot_id INTEGER,
    body        TEXT NOT NULL
) STRICT;
CREATE INDEX reports_by_tabular ON reports (tabular_id, report_id);
