-- Which run has been pending longest for each destination?
-- Asked by: the NAS administrator, to see which share has a problem.
SELECT destination, count(*) AS pending, min(enqueued_at) AS oldest_since,
  round((julianday('now') - julianday(min(enqueued_at))) * 24, 1) AS oldest_h,
  CAST(run_path AS TEXT) AS oldest_run,
  round(sum(bytes_total - bytes_done) / 1073741824.0, 2) AS known_gib_left
FROM sync_jobs WHERE finished_at IS NULL
GROUP BY destination
ORDER BY oldest_since
