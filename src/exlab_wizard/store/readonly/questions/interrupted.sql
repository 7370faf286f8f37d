-- What did the end of the last launch interrupt, and what is its state now?
-- Asked by: the operator after a power cut, a crash or a forced quit.
SELECT e.at AS cut_off_at, e.reason, j.id, CAST(j.run_path AS TEXT) AS run_path, j.destination, j.state,
  round(100.0 * j.bytes_done / nullif(j.bytes_total, 0), 1) AS percent_sent, j.interruptions, j.crashes
FROM job_events e JOIN sync_jobs j ON j.id = e.job_id
WHERE e.to_state = 'resumable' AND e.launch_id = (SELECT max(id) FROM launches WHERE ended_at IS NOT NULL)
ORDER BY e.id
