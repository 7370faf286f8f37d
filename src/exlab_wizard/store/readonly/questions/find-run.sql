-- Where is a run? Every job whose path holds a word, the newest first.
-- Asked by: the scientist who looks for the data.
-- :word = NULL A part of the path; NULL: every run.
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, state, state_reason, verified_at, bytes_total AS bytes
FROM sync_jobs WHERE instr(lower(CAST(run_path AS TEXT)), lower(coalesce(:word, ''))) > 0
ORDER BY id DESC
