-- Which sessions are open, and which ended without being closed?
-- Asked by: the developer of the software for an instrument.
-- :days = 7 How many days to look back.
SELECT state, kind, label, coalesce(operator, '') AS operator, opened_at, renewed_at,
  round((julianday(coalesce(closed_at, 'now')) - julianday(opened_at)) * 1440, 1) AS open_min,
  (SELECT count(*) FROM sync_jobs j WHERE j.session_id = s.id) AS jobs
FROM session_leases s
WHERE state IN ('active', 'expired') AND opened_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || :days || ' days')
ORDER BY state, opened_at
