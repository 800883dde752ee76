-- One queue: purges become jobs. Same tables, columns and indexes as ../sqlite/0008_one_queue.sql.

-- Process that runs a job: a maintenance worker, or the server itself.
ALTER TABLE maintenance_jobs ADD COLUMN runner TEXT NOT NULL DEFAULT 'worker' CHECK (runner IN ('worker', 'server'));
DROP INDEX maintenance_jobs_one_committer;
CREATE UNIQUE INDEX maintenance_jobs_one_committer ON maintenance_jobs (tabular_id)
    WHERE state = 'running' AND runner = 'worker';
DROP INDEX maintenance_jobs_by_priority;
CREATE INDEX maintenance_jobs_by_priority ON maintenance_jobs (runner, priority DESC, job_id) WHERE state = 'queued';

-- A task keeps its id, because the folders that it empties are claimed by it. The id of the table is not known any more. A
-- task that is leased runs again when its lease has expired.
INSERT INTO maintenance_jobs (job_id, warehouse_id, tabular_id, table_name, action, state, options, reason, requested_by,
                              priority, attempt, cancel_requested, progress, error, created_ms, due_ms, runner)
SELECT t.task_id, t.warehouse_id, t.task_id, w.name || '/' || coalesce(t.payload::json ->> 'table', ''), t.kind,
       'queued', t.payload, 'the table was dropped with its files', 'maintenance', 0, t.attempts, FALSE, t.progress,
       t.last_error, t.created_ms, t.due_ms, 'server'
FROM cleanup_tasks t JOIN warehouses w ON w.warehouse_id = t.warehouse_id;
DROP TABLE cleanup_tasks;
