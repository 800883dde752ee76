-- Pages of names without reading the names. Same tables and columns as ../postgres/0009_creation.sql.

-- Versions of the names in a namespace: their sum changes with every creation, rename and drop of a table or view, so that
-- pages of names can be cached. There is one writer, so that one row for each namespace is sufficient.
CREATE TABLE namespace_versions (
    namespace_id BLOB NOT NULL,
    part         INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    PRIMARY KEY (namespace_id, part)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tabular_history_opens_name AFTER INSERT ON tabular_history BEGIN
    INSERT INTO namespace_versions (namespace_id, part, version) VALUES (NEW.namespace_id, 0, 1)
    ON CONFLICT (namespace_id, part) DO UPDATE SET version = version + 1;
END;
CREATE TRIGGER tabular_history_closes_name AFTER UPDATE ON tabular_history BEGIN
    INSERT INTO namespace_versions (namespace_id, part, version) VALUES (NEW.namespace_id, 0, 1)
    ON CONFLICT (namespace_id, part) DO UPDATE SET version = version + 1;
END;
