-- How much has been verified at each destination, and how much is pending?
-- Asked by: the NAS administrator.
SELECT destination, sum(state IN ('verified', 'cleaned')) AS verified, sum(finished_at IS NULL) AS pending,
  sum(state = 'failed') AS failed,
  round(total(CASE WHEN state IN ('verified', 'cleaned') THEN bytes_total END) / 1073741824.0, 2) AS verified_gib,
  max(verified_at) AS last_arrival
FROM sync_jobs
GROUP BY destination
ORDER BY destination
