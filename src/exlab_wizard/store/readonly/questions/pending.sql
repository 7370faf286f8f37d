-- What is pending, and why is it not done yet?
-- Asked by: the operator wondering whether a run has arrived.
SELECT id, run_path, destination, state, why, round(bytes_done / 1048576.0, 1) AS mib_done,
  round(bytes_total / 1048576.0, 1) AS mib_total, enqueued_at
FROM pending_work
ORDER BY state IN ('running', 'verifying') DESC, priority DESC, id
