-- How did the last launches end, and how long did each run?
-- Asked by: an administrator who suspects the machine or the program.
-- :most = 10 How many to list.
SELECT id, started_at, ended, round((julianday(coalesce(ended_at, 'now')) - julianday(started_at)) * 24, 2) AS lived_h,
  jobs_resumed, version
FROM launch_history
ORDER BY id DESC
LIMIT :most
