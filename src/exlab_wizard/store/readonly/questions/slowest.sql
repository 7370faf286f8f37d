-- Which runs were copied slowest, from the last claim to the end?
-- Asked by: the network administrator.
-- :days = 30 How many days to look back.
-- :most = 10 How many to list.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, files_total AS files,
  round(bytes_total / 1048576.0, 1) AS mib,
  round((julianday(verified_at) - julianday(claimed_at)) * 86400, 1) AS seconds,
  round((bytes_total - bytes_resumed) / 1048576.0 / ((julianday(verified_at) - julianday(claimed_at)) * 86400), 2)
    AS mib_per_s
FROM sync_jobs
WHERE verified_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days') AND verified_at > claimed_at
ORDER BY mib_per_s, id
LIMIT :most
