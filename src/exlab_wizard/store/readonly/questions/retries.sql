-- What will be retried, when, and what went wrong last time?
-- Asked by: the operator whose run keeps failing.
SELECT id, run_path, destination, attempts, not_before, error_kind, error_detail
FROM pending_work WHERE attempts > 0 AND error_kind IS NOT NULL
ORDER BY not_before IS NULL DESC, not_before, id
