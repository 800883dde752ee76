-- Columns, indexes and triggers by the names of the field. Same tables, columns and indexes as ../sqlite/0007_job_names.sql.
ALTER TABLE maintenance_jobs RENAME COLUMN rank TO priority;
ALTER TABLE maintenance_jobs RENAME COLUMN cancel_wanted TO cancel_requested;
-- Attempts after which the worker returned the job. They do not count as attempts at which a worker died.
ALTER TABLE maintenance_jobs ADD COLUMN returned BIGINT NOT NULL DEFAULT 0;
ALTER INDEX maintenance_jobs_by_rank RENAME TO maintenance_jobs_by_priority;
ALTER TRIGGER audit_changes_are_told ON audit RENAME TO audit_to_outbox;
