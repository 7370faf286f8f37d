-- Which runs were last read back from their destination more than some days ago?
-- Asked by: the person who answers for the archive.
-- :days = 90 How many days ago.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, verified_at, verify_passes,
  round(bytes_total / 1073741824.0, 2) AS gib
FROM sync_jobs
WHERE state IN ('verified', 'cleaned')
  AND verified_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days')
ORDER BY verified_at
