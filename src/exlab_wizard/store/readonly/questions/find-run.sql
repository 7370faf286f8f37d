-- Where is a run? Lists every job whose path contains a word, newest first.
-- Asked by: a scientist looking for data.
-- :word = NULL A part of the path; NULL matches every run.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, state, state_reason, verified_at, bytes_total AS bytes
FROM sync_jobs WHERE instr(lower(CAST(run_path AS TEXT)), lower(coalesce(:word, ''))) > 0
ORDER BY id DESC
