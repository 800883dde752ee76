-- The catalog. Same tables, columns and indexes as ../sqlite/0001_catalog.sql.
--
-- Identifiers are version 7 UUIDs made by the server, instants are milliseconds since 1970, JSON is
-- text that SQL never looks into. Names, paths and locations compare byte by byte (COLLATE "C"), as
-- SQLite compares them, so that both databases page in the same order.

CREATE TABLE warehouses (
    warehouse_id UUID PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL UNIQUE,
    location     TEXT COLLATE "C" NOT NULL,
    properties   TEXT NOT NULL,
    created_ms   BIGINT NOT NULL
);

-- `path` is the levels joined by 0x1F; `parent_path` is '' for a top-level namespace.
CREATE TABLE namespaces (
    namespace_id UUID PRIMARY KEY,
    warehouse_id UUID NOT NULL REFERENCES warehouses,
    parent_path  TEXT COLLATE "C" NOT NULL,
    path         TEXT COLLATE "C" NOT NULL CHECK (path <> ''),
    properties   TEXT NOT NULL,
    created_ms   BIGINT NOT NULL,
    updated_ms   BIGINT NOT NULL,
    UNIQUE (warehouse_id, path)
);
CREATE INDEX namespaces_by_parent ON namespaces (warehouse_id, parent_path, path);

-- Tables and views share names. The pointer is written by every commit: room is left on the pages
-- for the new version of the row, which then needs no index entry of its own.
CREATE TABLE tabulars (
    tabular_id        UUID PRIMARY KEY,
    warehouse_id      UUID NOT NULL REFERENCES warehouses,
    namespace_id      UUID NOT NULL REFERENCES namespaces,
    kind              TEXT COLLATE "C" NOT NULL CHECK (kind IN ('table', 'view')),
    name              TEXT COLLATE "C" NOT NULL CHECK (name <> ''),
    metadata_location TEXT COLLATE "C" NOT NULL,
    table_uuid        UUID NOT NULL,
    location          TEXT COLLATE "C" NOT NULL,
    created_ms        BIGINT NOT NULL,
    updated_ms        BIGINT NOT NULL,
    UNIQUE (namespace_id, name)
) WITH (fillfactor = 70);
CREATE INDEX tabulars_by_kind ON tabulars (namespace_id, kind, name);

-- History: one row per state an object was in, true from `valid_from_ms` until just before
-- `valid_to_ms`, which is 9223372036854775807 while it still holds. A row whose two instants are
-- equal was never visible. `history_id` tells apart the states of one object within a millisecond.
CREATE TABLE namespace_history (
    history_id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace_id  UUID NOT NULL,
    warehouse_id  UUID NOT NULL,
    parent_path   TEXT COLLATE "C" NOT NULL,
    path          TEXT COLLATE "C" NOT NULL,
    properties    TEXT NOT NULL,
    created_ms    BIGINT NOT NULL,
    valid_from_ms BIGINT NOT NULL,
    valid_to_ms   BIGINT NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
);
CREATE INDEX namespace_history_by_id ON namespace_history (namespace_id, valid_to_ms, valid_from_ms);
CREATE INDEX namespace_history_by_path ON namespace_history (warehouse_id, path, valid_to_ms);
CREATE INDEX namespace_history_by_parent ON namespace_history (warehouse_id, parent_path, path, valid_to_ms);

-- What a table or view was called. Apart from `pointer_history`, so that listing a namespace as of
-- an instant does not wade through the commits of the tables in it.
CREATE TABLE tabular_history (
    history_id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tabular_id    UUID NOT NULL,
    warehouse_id  UUID NOT NULL,
    namespace_id  UUID NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    created_ms    BIGINT NOT NULL,
    valid_from_ms BIGINT NOT NULL,
    valid_to_ms   BIGINT NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
);
CREATE INDEX tabular_history_by_id ON tabular_history (tabular_id, valid_to_ms, valid_from_ms);
CREATE INDEX tabular_history_by_name ON tabular_history (namespace_id, name, valid_to_ms);
CREATE INDEX tabular_history_by_kind ON tabular_history (namespace_id, kind, name, valid_to_ms);

-- What a table or view pointed to.
CREATE TABLE pointer_history (
    history_id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tabular_id        UUID NOT NULL,
    metadata_location TEXT COLLATE "C" NOT NULL,
    table_uuid        UUID NOT NULL,
    location          TEXT COLLATE "C" NOT NULL,
    valid_from_ms     BIGINT NOT NULL,
    valid_to_ms       BIGINT NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
);
CREATE INDEX pointer_history_by_instant ON pointer_history (tabular_id, valid_to_ms, valid_from_ms);
CREATE INDEX pointer_history_by_order ON pointer_history (tabular_id, history_id);

-- A commit is one statement, whose history follows by itself; `updated_ms` never runs backwards.
CREATE FUNCTION record_moved_pointer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pointer_history SET valid_to_ms = NEW.updated_ms
    WHERE tabular_id = NEW.tabular_id AND valid_to_ms = 9223372036854775807;
    INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, valid_from_ms, valid_to_ms)
    VALUES (NEW.tabular_id, NEW.metadata_location, NEW.table_uuid, NEW.location, NEW.updated_ms,
            9223372036854775807);
    RETURN NULL;
END $$;
CREATE TRIGGER tabulars_pointer_moved AFTER UPDATE OF metadata_location ON tabulars
    FOR EACH ROW EXECUTE FUNCTION record_moved_pointer();

-- Which object owns the files under a prefix. Prefixes end in '/', so that `orders` is no ancestor
-- of `orders2`. An owner is a tabular, or the clean-up task that took over its files.
CREATE TABLE locations (
    warehouse_id UUID NOT NULL REFERENCES warehouses,
    prefix       TEXT COLLATE "C" NOT NULL CHECK (prefix LIKE '%/'),
    owner_id     UUID NOT NULL,
    PRIMARY KEY (warehouse_id, prefix)
);
CREATE INDEX locations_by_owner ON locations (owner_id);

-- `due_ms` is when a worker may take the task: its start, its next attempt, or the end of a lease.
CREATE TABLE cleanup_tasks (
    task_id      UUID PRIMARY KEY,
    warehouse_id UUID NOT NULL REFERENCES warehouses,
    kind         TEXT COLLATE "C" NOT NULL,
    payload      TEXT NOT NULL,
    progress     TEXT,
    created_ms   BIGINT NOT NULL,
    due_ms       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    leased_by    TEXT,
    last_error   TEXT
);
CREATE INDEX cleanup_tasks_by_due ON cleanup_tasks (due_ms, task_id);

CREATE TABLE audit (
    audit_id    UUID NOT NULL,
    at_ms       BIGINT NOT NULL,
    request_id  TEXT NOT NULL,
    caller      TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    object_id   UUID,
    outcome     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (at_ms, audit_id)
);
CREATE INDEX audit_by_object ON audit (object_id, at_ms, audit_id);

-- The changes of the audit trail that are still to be told to others.
CREATE TABLE outbox (
    at_ms    BIGINT NOT NULL,
    audit_id UUID NOT NULL,
    PRIMARY KEY (at_ms, audit_id)
);
CREATE FUNCTION record_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (at_ms, audit_id) VALUES (NEW.at_ms, NEW.audit_id);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_changes_are_told AFTER INSERT ON audit
    FOR EACH ROW WHEN (NEW.outcome = 'done') EXECUTE FUNCTION record_event();

CREATE TABLE idempotency (
    caller            TEXT COLLATE "C" NOT NULL,
    key               TEXT COLLATE "C" NOT NULL,
    fingerprint       TEXT NOT NULL,
    status            BIGINT NOT NULL,
    body              TEXT,
    metadata_location TEXT,
    created_ms        BIGINT NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_by_time ON idempotency (created_ms);

CREATE TABLE reports (
    report_id   UUID PRIMARY KEY,
    tabular_id  UUID NOT NULL REFERENCES tabulars ON DELETE CASCADE,
    received_ms BIGINT NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('scan', 'commit')),
    snapshot_id BIGINT,
    body        TEXT NOT NULL
);
CREATE INDEX reports_by_tabular ON reports (tabular_id, report_id);
