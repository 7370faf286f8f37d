-- What is tried again, when, and what went wrong the last time?
-- Asked by: the operator who sees a run come and go.
SELECT id, run_path, destination, attempts, not_before, error_kind, error_detail
FROM pending_work WHERE attempts > 0 AND error_kind IS NOT NULL
ORDER BY not_before IS NULL DESC, not_before, id
