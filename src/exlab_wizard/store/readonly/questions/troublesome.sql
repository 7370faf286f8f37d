-- Which verified runs took several attempts or were often interrupted?
-- Asked by: an administrator looking for a weak cable before it breaks.
-- :days = 30 How many days to look back.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, attempts, interruptions, verified_at,
  round((julianday(verified_at) - julianday(enqueued_at)) * 24, 1) AS h_to_arrive
FROM sync_jobs
WHERE verified_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days') AND attempts + interruptions > 1
ORDER BY attempts + interruptions DESC, id
