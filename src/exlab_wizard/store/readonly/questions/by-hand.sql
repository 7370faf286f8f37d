-- Which jobs were changed by hand, with SQL?
-- Asked by: an administrator back from vacation.
-- :days = 30 How many days to look back.
SELECT e.at, e.job_id, CAST(j.run_path AS TEXT) AS run_path, e.from_state, e.to_state, j.state AS state_now
FROM job_events e JOIN sync_jobs j ON j.id = e.job_id
WHERE e.reason = 'changed with SQL' AND e.at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days')
ORDER BY e.id DESC
