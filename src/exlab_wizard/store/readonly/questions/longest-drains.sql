-- Which quits took longest, and what did they wait for?
-- Asked by: an administrator who hears that the program does not quit.
-- :most = 10 How many to list.
SELECT requested_at, trigger, outcome, took_s, prompts, waits, blocking_sessions, blocking_jobs, launch_id
FROM quit_history WHERE took_s IS NOT NULL
ORDER BY took_s DESC
LIMIT :most
