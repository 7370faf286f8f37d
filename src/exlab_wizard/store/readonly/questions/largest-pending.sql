-- Which pending runs have the most left to send?
-- Asked by: the person who decides what goes first before the weekend.
-- :most = 10 How many to list.
SELECT id, run_path, destination, state, round((bytes_total - bytes_done) / 1073741824.0, 2) AS gib_left,
  files_total - files_done AS files_left, priority
FROM pending_work
ORDER BY bytes_total - bytes_done DESC, id
LIMIT :most
