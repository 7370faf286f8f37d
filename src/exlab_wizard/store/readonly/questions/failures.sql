-- What failed recently, by kind, and what was the latest error of each kind?
-- Asked by: the administrator on Monday morning.
-- :days = 7 How many days to look back.
SELECT replace(e.reason, 'failed: ', '') AS kind, count(*) AS failures, count(DISTINCT e.job_id) AS jobs,
  max(e.at) AS last_at, e.detail AS last_said
FROM job_events e
WHERE e.to_state = 'failed' AND e.at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days')
GROUP BY kind
ORDER BY failures DESC, kind
