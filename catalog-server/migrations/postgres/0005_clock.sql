-- Corrections of the system's clock. Same tables, columns and indexes as ../sqlite/0005_clock.sql; used on SQLite only, where
-- the process' clock is the catalog's.

-- From the clock's `clock_ms` on, the catalog's time is `at_ms` and what has passed since. `until_ms` is the last instant before
-- for which the clock is believed.
CREATE TABLE clock_corrections (
    correction_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    clock_ms      BIGINT NOT NULL,
    at_ms         BIGINT NOT NULL,
    until_ms      BIGINT NOT NULL
);

-- One row: no later instant of the catalog is before it.
CREATE TABLE clock_marks (
    mark_id BIGINT PRIMARY KEY NOT NULL CHECK (mark_id = 1),
    at_ms   BIGINT NOT NULL
);
