-- Which runs have not been read back from their destination for a long time?
-- Asked by: the person responsible for the archive.
-- :days = 90 Minimum number of days since the last read-back.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, verified_at, verify_passes,
  round(bytes_total / 1073741824.0, 2) AS gib
FROM sync_jobs
WHERE state IN ('verified', 'cleaned')
  AND verified_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days')
ORDER BY verified_at
