-- Scan planning. Same tables, columns and indexes as ../postgres/0002_planning.sql.

-- What tokens are authenticated with; every replica uses the same.
CREATE TABLE signing_keys (
    name       TEXT PRIMARY KEY NOT NULL,
    secret     BLOB NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

-- Plans that were not ready when their request was answered. `answer` is the protocol's, once there is one.
CREATE TABLE plans (
    plan_id           BLOB PRIMARY KEY NOT NULL,
    tabular_id        BLOB NOT NULL,
    caller            TEXT NOT NULL,
    metadata_location TEXT NOT NULL,
    request           TEXT NOT NULL,
    outcome           TEXT NOT NULL CHECK (outcome IN ('submitted', 'completed', 'cancelled')),
    answer            TEXT,
    created_ms        INTEGER NOT NULL
) STRICT;
CREATE INDEX plans_by_time ON plans (created_ms);
