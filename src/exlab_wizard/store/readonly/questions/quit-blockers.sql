-- What is blocking a quit now, and for how long?
-- Asked by: anyone who wants to go home.
SELECT kind, id, label, since, round(bytes_left / 1048576.0, 1) AS mib_left, percent, eta_s,
  round((julianday('now') - julianday(since)) * 1440, 1) AS blocks_for_min
FROM drain_blockers
ORDER BY since
