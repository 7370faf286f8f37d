-- Which jobs were in flight when the application crashed and have made no progress since?
-- Asked by: the operator of an application that keeps crashing.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, state, crashes,
  CASE WHEN state = 'failed' THEN 'failed: retry it once the cause is fixed'
    WHEN crashes >= 2 THEN 'runs alone, to find the job that causes the crashes'
    ELSE 'the crash may have had another cause; fails after 3' END AS means,
  (SELECT max(at) FROM job_events e WHERE e.job_id = j.id AND e.reason = 'crashed') AS last_crash
FROM sync_jobs j
WHERE crashes > 0 AND state NOT IN ('verified', 'cleaned', 'cancelled')
ORDER BY crashes DESC, id
