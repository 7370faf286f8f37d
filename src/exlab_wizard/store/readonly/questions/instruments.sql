-- How long ago did each instrument last deliver a run?
-- Asked by: the person responsible for the instruments.
SELECT coalesce(equipment_id, '(none)') AS instrument, count(*) AS runs, max(enqueued_at) AS last_handed_in,
  round(julianday('now') - julianday(max(enqueued_at)), 1) AS days_ago, max(verified_at) AS last_verified,
  sum(state NOT IN ('verified', 'cleaned', 'cancelled')) AS open
FROM sync_jobs
GROUP BY equipment_id
ORDER BY last_handed_in
