-- Which runs were queued days ago and are still not verified on a destination?
-- Asked by: the person responsible for the data.
-- :days = 2 Minimum age in days.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, state,
  CAST(julianday('now') - julianday(enqueued_at) AS INTEGER) AS days, coalesce(error_detail, waiting_on) AS why
FROM sync_jobs j
WHERE state NOT IN ('verified', 'cleaned', 'cancelled')
  AND enqueued_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days')
  AND NOT EXISTS (SELECT 1 FROM sync_jobs later WHERE later.run_path = j.run_path
    AND later.destination = j.destination AND later.id > j.id AND later.verified_at IS NOT NULL)
ORDER BY enqueued_at
