-- What goes out of use with each metadata file. Same tables, columns and indexes as ../sqlite/0006_superseded.sql.
--
-- JSON: the snapshots that were the head of a branch or tag in the former metadata file and are not in this one, the schemas that
-- were current, and what a table was registered with. Null where nobody found out: views, and what an older version wrote.
ALTER TABLE tabulars ADD COLUMN superseded TEXT;
ALTER TABLE pointer_history ADD COLUMN superseded TEXT;

CREATE OR REPLACE FUNCTION record_moved_pointer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pointer_history SET valid_to_ms = NEW.updated_ms
    WHERE tabular_id = NEW.tabular_id AND valid_to_ms = 9223372036854775807;
    INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, superseded, valid_from_ms, valid_to_ms)
    VALUES (NEW.tabular_id, NEW.metadata_location, NEW.table_uuid, NEW.location, NEW.superseded, NEW.updated_ms,
            9223372036854775807);
    RETURN NULL;
END $$;
