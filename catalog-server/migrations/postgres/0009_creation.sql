-- Creations, commits and pages of names with fewer steps. Same tables and columns as ../sqlite/0009_creation.sql.

-- The current pointer of a table or view. Without this index, PostgreSQL may look for it among all pointers that the table
-- ever had, so that commits become slower with its history.
CREATE UNIQUE INDEX pointer_history_current ON pointer_history (tabular_id) WHERE valid_to_ms = 9223372036854775807;

-- Versions of the names in a namespace: their sum changes with every creation, rename and drop of a table or view, so that
-- pages of names can be cached. A connection changes one of several rows, so that transactions rarely wait for each other.
CREATE TABLE namespace_versions (
    namespace_id UUID NOT NULL,
    part         INTEGER NOT NULL,
    version      BIGINT NOT NULL,
    PRIMARY KEY (namespace_id, part)
) WITH (fillfactor = 50);

CREATE FUNCTION count_change_of_names() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO namespace_versions (namespace_id, part, version) VALUES (NEW.namespace_id, pg_backend_pid() % 32, 1)
    ON CONFLICT (namespace_id, part) DO UPDATE SET version = namespace_versions.version + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER tabular_history_changes_names AFTER INSERT OR UPDATE ON tabular_history
    FOR EACH ROW EXECUTE FUNCTION count_change_of_names();

-- Opens the history of a new table or view. Returns the start of its validity: the time of its creation, or that at which the
-- name was last released, if that is later. It is a function because its statements see what was committed while the
-- insert waited for the name.
CREATE FUNCTION open_tabular(created tabulars) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    from_ms BIGINT;
BEGIN
    SELECT greatest(created.created_ms, max(h.valid_to_ms)) INTO from_ms FROM tabular_history h
    WHERE h.namespace_id = created.namespace_id AND h.name = created.name AND h.valid_to_ms < 9223372036854775807;
    INSERT INTO tabular_history (tabular_id, warehouse_id, namespace_id, kind, name, created_ms, valid_from_ms, valid_to_ms)
    VALUES (created.tabular_id, created.warehouse_id, created.namespace_id, created.kind, created.name,
            created.created_ms, from_ms, 9223372036854775807);
    INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, superseded, valid_from_ms, valid_to_ms)
    VALUES (created.tabular_id, created.metadata_location, created.table_uuid, created.location, created.superseded,
            from_ms, 9223372036854775807);
    RETURN from_ms;
END $$;

-- Claims prefixes for an owner. Returns a claim of another owner that overlaps with one of them, in which case the transaction
-- must be rolled back. `ancestors` are the prefixes that contain one of `prefixes`; `ends` are the smallest strings that are
-- greater than all strings that begin with them.
--
-- Of two nested claims, one waits for the other: each takes an exclusive lock on the hash of its prefix and a shared one on
-- those of its ancestors, in the order of the hashes, so that two claims cannot deadlock. The next statement sees what was
-- committed meanwhile.
CREATE FUNCTION claim_locations(
    claiming_warehouse UUID, claiming_owner UUID, prefixes TEXT[], ancestors TEXT[], ends TEXT[]
) RETURNS SETOF locations LANGUAGE plpgsql AS $$
BEGIN
    PERFORM CASE WHEN l.is_own THEN pg_advisory_xact_lock(l.hash) ELSE pg_advisory_xact_lock_shared(l.hash) END
    FROM (
        SELECT hashtextextended(claiming_warehouse::text || e.prefix, 0) AS hash, bool_or(e.is_own) AS is_own
        FROM (SELECT unnest(prefixes) AS prefix, true AS is_own UNION ALL SELECT unnest(ancestors), false) AS e
        GROUP BY 1 ORDER BY 1
    ) AS l;
    RETURN QUERY
        -- One look-up for each prefix, whatever the statistics are: LIMIT keeps it from being joined otherwise.
        SELECT o.* FROM unnest(ancestors) AS a(prefix), LATERAL (
            SELECT l.* FROM locations l
            WHERE l.warehouse_id = claiming_warehouse AND l.prefix = a.prefix COLLATE "C" LIMIT 1
        ) AS o WHERE o.owner_id <> claiming_owner
        UNION ALL
        SELECT o.* FROM unnest(prefixes, ends) AS r(first, last), LATERAL (
            SELECT l.* FROM locations l
            WHERE l.warehouse_id = claiming_warehouse AND l.owner_id <> claiming_owner
                AND l.prefix >= r.first COLLATE "C" AND l.prefix < r.last COLLATE "C"
            ORDER BY l.prefix LIMIT 1
        ) AS o
        LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO locations (warehouse_id, prefix, owner_id)
        SELECT claiming_warehouse, unnest(prefixes), claiming_owner
        ON CONFLICT (warehouse_id, prefix) DO NOTHING;
    END IF;
END $$;

-- Claims prefixes for an owner in a single statement, which fails with the constraint `locations_overlap` if it cannot.
CREATE FUNCTION require_locations(
    claiming_warehouse UUID, claiming_owner UUID, prefixes TEXT[], ancestors TEXT[], ends TEXT[]
) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    PERFORM claim_locations(claiming_warehouse, claiming_owner, prefixes, ancestors, ends);
    IF FOUND THEN
        RAISE EXCEPTION 'a location overlaps with that of another owner'
            USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'locations_overlap';
    END IF;
    RETURN true;
END $$;
