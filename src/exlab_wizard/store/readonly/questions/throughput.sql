-- How much data arrived each day?
-- Asked by: the head of the lab, and anyone planning NAS capacity.
-- :days = 14 How many days to look back.
SELECT substr(verified_at, 1, 10) AS day, count(*) AS runs, sum(files_total) AS files,
  round(sum(bytes_total) / 1073741824.0, 2) AS gib,
  round(avg((julianday(verified_at) - julianday(enqueued_at)) * 1440), 1) AS mean_min_to_arrive
FROM sync_jobs
WHERE verified_at >= strftime('%Y-%m-%dT00:00:00.000Z', 'now', '-' || (:days - 1) || ' days')
GROUP BY day
ORDER BY day DESC
