-- How many rows does the history have, and since when?
-- Asked by: the administrator, before `exlab-wizard db prune`.
SELECT 'sync_jobs' AS content, count(*) AS number, sum(finished_at IS NULL) AS unfinished, min(enqueued_at) AS since
FROM sync_jobs
UNION ALL SELECT 'sync_files', count(*), NULL, NULL FROM sync_files
UNION ALL SELECT 'job_events', count(*), NULL, min(at) FROM job_events
UNION ALL SELECT 'session_leases', count(*), sum(state = 'active'), min(opened_at) FROM session_leases
UNION ALL SELECT 'launches', count(*), sum(ended_at IS NULL), min(started_at) FROM launches
UNION ALL SELECT 'quit_requests', count(*), sum(outcome IS NULL), min(requested_at) FROM quit_requests
UNION ALL SELECT 'file size, MiB', round(page_count * page_size / 1048576.0, 1), NULL, NULL
FROM pragma_page_size, pragma_page_count
