-- What happened to a job, step by step?
-- Asked by: the operator, and support on the telephone.
-- :job = 0 The number of the job; 0 means the job that moved last.
SELECT e.at, coalesce(e.from_state, '') AS from_state, e.to_state, e.reason, e.launch_id, e.detail
FROM job_events e
WHERE e.job_id = CASE WHEN :job > 0 THEN :job ELSE (SELECT job_id FROM job_events ORDER BY id DESC LIMIT 1) END
ORDER BY e.id
