-- How did the last launches end, and how long did each live?
-- Asked by: whoever wonders whether the machine or the program is unwell.
-- :most = 10 How many to show.
SELECT id, started_at, ended, round((julianday(coalesce(ended_at, 'now')) - julianday(started_at)) * 24, 2) AS lived_h,
  jobs_resumed, version
FROM launch_history
ORDER BY id DESC
LIMIT :most
