-- Columns, indexes and triggers by the names of the field. Same tables, columns and indexes as ../postgres/0007_job_names.sql.
ALTER TABLE maintenance_jobs RENAME COLUMN rank TO priority;
ALTER TABLE maintenance_jobs RENAME COLUMN cancel_wanted TO cancel_requested;
-- Attempts after which the worker returned the job. They do not count as attempts at which a worker died.
ALTER TABLE maintenance_jobs ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
DROP INDEX maintenance_jobs_by_rank;
CREATE INDEX maintenance_jobs_by_priority ON maintenance_jobs (priority DESC, job_id) WHERE state = 'queued';

DROP TRIGGER audit_changes_are_told;
CREATE TRIGGER audit_to_outbox AFTER INSERT ON audit WHEN NEW.outcome = 'done'
BEGIN
    INSERT INTO outbox (at_ms, audit_id) VALUES (NEW.at_ms, NEW.audit_id);
END;
