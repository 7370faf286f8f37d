-- Which jobs were in flight when the application died, without progress since?
-- Asked by: whoever sees the application die again and again.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, state, crashes,
  CASE WHEN state = 'failed' THEN 'given up: retry it when the cause is gone'
    WHEN crashes >= 2 THEN 'runs alone, so that the guilty one is found'
    ELSE 'a crash may have had another cause; at 3 it is given up' END AS means,
  (SELECT max(at) FROM job_events e WHERE e.job_id = j.id AND e.reason = 'crashed') AS last_crash
FROM sync_jobs j
WHERE crashes > 0 AND state NOT IN ('verified', 'cleaned', 'cancelled')
ORDER BY crashes DESC, id
