-- Storage of warehouses. Same tables, columns and indexes as ../postgres/0010_warehouse_storage.sql.
--
-- `storage`: kind, address and behaviour of the store, as JSON without secrets. `credential`: encrypted; null if none is needed.
ALTER TABLE warehouses ADD COLUMN storage TEXT NOT NULL DEFAULT '{"type":"file"}';
ALTER TABLE warehouses ADD COLUMN credential BLOB;
