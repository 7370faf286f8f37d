-- What is waiting for something external, for what, and since when?
-- Asked by: the administrator who has to mount a share or free space.
SELECT j.destination, j.waiting_on, count(*) AS jobs, round(sum(j.bytes_total - j.bytes_done) / 1073741824.0, 2) AS gib,
  min((SELECT max(at) FROM job_events e WHERE e.job_id = j.id AND e.to_state = 'queued')) AS since
FROM sync_jobs j WHERE j.state = 'queued' AND j.waiting_on IS NOT NULL
GROUP BY j.destination, j.waiting_on
ORDER BY since
