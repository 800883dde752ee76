-- One queue: purges become jobs. Same tables, columns and indexes as ../sqlite/0008_one_queue.sql.

-- Process that runs a job: a maintenance worker, or the server itself. The folders of a job of the server stay claimed until it
-- has succeeded, so it must not end otherwise.
ALTER TABLE maintenance_jobs ADD COLUMN runner TEXT NOT NULL DEFAULT 'worker'
    CHECK (runner = 'worker' OR (runner = 'server' AND state IN ('queued', 'running', 'succeeded')));
DROP INDEX maintenance_jobs_one_committer;
CREATE UNIQUE INDEX maintenance_jobs_one_committer ON maintenance_jobs (tabular_id)
    WHERE state = 'running' AND runner = 'worker';
DROP INDEX maintenance_jobs_by_priority;
CREATE INDEX maintenance_jobs_by_priority ON maintenance_jobs (priority DESC, job_id)
    WHERE state = 'queued' AND runner = 'worker';
CREATE INDEX maintenance_jobs_by_due ON maintenance_jobs (due_ms, job_id) WHERE state = 'queued' AND runner = 'server';

-- A task keeps its id, because the folders that it empties are claimed by it. The id of the table is not known any more. A
-- task that is leased is due at once: the server that had leased it cannot finish it without this table.
INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason, requested_by,
                              priority, attempt, cancel_requested, progress, error, created_ms, due_ms, runner)
SELECT t.task_id, t.warehouse_id, t.task_id, w.name || '/' || coalesce(t.payload::json ->> 'table', ''), t.kind,
       'queued', t.payload, 'the table was dropped with its files', 'maintenance', 0, t.attempts, FALSE, t.progress,
       t.last_error, t.created_ms, CASE WHEN t.leased_by IS NULL THEN t.due_ms ELSE t.created_ms END, 'server'
FROM cleanup_tasks t JOIN warehouses w ON w.warehouse_id = t.warehouse_id;
DROP TABLE cleanup_tasks;
