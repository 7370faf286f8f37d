"""The durable core: launches, leases, jobs, files, events, quits, and the views that people read.

Revision: 0001. A migration is history: it never imports today's code.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

MOVES = (
    ("queued", "running", "a worker claimed it"),
    ("queued", "cancelled", "cancelled by an operator"),
    ("running", "verifying", "all bytes are sent"),
    ("running", "queued", "tried again later"),
    ("running", "resumable", "cut off by a quit or a crash"),
    ("running", "failed", "an error that trying again does not mend"),
    ("running", "cancelled", "cancelled by an operator"),
    ("verifying", "verified", "read back, equal, published"),
    ("verifying", "queued", "tried again later"),
    ("verifying", "resumable", "cut off by a quit or a crash"),
    ("verifying", "failed", "an error that trying again does not mend"),
    ("verifying", "cancelled", "cancelled by an operator"),
    ("resumable", "queued", "the next launch goes on with it"),
    ("resumable", "cancelled", "cancelled by an operator"),
    ("failed", "queued", "an operator retries it"),
    ("failed", "cancelled", "cancelled by an operator"),
    ("verified", "cleaned", "the local copy was removed"),
)
STATES = ("queued", "running", "verifying", "verified", "cleaned", "resumable", "failed", "cancelled")


def _one_of(column: str, *values: str) -> str:
    # SQLite builds a temporary b-tree for `IN` with three constants or more, at each firing of a trigger; not for `OR`.
    return "(" + " OR ".join(f"{column} = '{value}'" for value in values) + ")"


IN_FLIGHT = _one_of("state", "running", "verifying")
FINISHED = ("verified", "cleaned", "failed", "cancelled")
WAITS = ("destination_offline", "destination_full", "source_changing", "earlier_attempt")
ERRORS = (
    "auth", "config", "source_missing", "conflict", "network", "unknown", "hash_mismatch", "crash_loop",
)  # fmt: skip
ENDS = ("drained", "forced", "crashed", "host_restarted")
RECOVERED = (
    "(NEW.state = 'queued' AND (OLD.state = 'running' OR OLD.state = 'verifying') AND "
    + _one_of("NEW.state_reason", *ENDS)
    + ")"
)

TABLES = (
    """
CREATE TABLE installation (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  id TEXT NOT NULL CHECK (length(id) = 16),
  created_at TEXT NOT NULL
) STRICT
""",
    f"""
CREATE TABLE launches (
  id INTEGER NOT NULL PRIMARY KEY,
  host TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  process_started_at TEXT NOT NULL,
  version TEXT NOT NULL,
  started_at TEXT NOT NULL,
  healthy_at TEXT,
  jobs_resumed INTEGER NOT NULL DEFAULT 0,
  draining_since TEXT,
  ended_at TEXT,
  end_reason TEXT CONSTRAINT known_end_reason CHECK ({_one_of("end_reason", *ENDS)}),
  CONSTRAINT ended_has_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) STRICT
""",
    f"""
CREATE TABLE session_leases (
  id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CONSTRAINT known_kind CHECK (kind IN ('run', 'project')),
  label TEXT NOT NULL,
  operator TEXT,
  equipment_id TEXT,
  run_path ANY CONSTRAINT path_is_text_or_bytes CHECK ({_one_of("typeof(run_path)", "text", "blob", "null")}),
  state TEXT NOT NULL DEFAULT 'active'
    CONSTRAINT known_state CHECK ({_one_of("state", "active", "completed", "aborted", "expired")}),
  ttl_s REAL NOT NULL CONSTRAINT positive_ttl CHECK (ttl_s > 0),
  opened_at TEXT NOT NULL,
  renewed_at TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  closed_at TEXT,
  launch_id INTEGER REFERENCES launches (id)
) STRICT
""",
    f"""
CREATE TABLE sync_jobs (
  id INTEGER NOT NULL PRIMARY KEY,
  run_path ANY NOT NULL CONSTRAINT path_is_text_or_bytes CHECK (typeof(run_path) IN ('text', 'blob')),
  destination TEXT NOT NULL,
  equipment_id TEXT,
  session_id TEXT REFERENCES session_leases (id),
  state TEXT NOT NULL DEFAULT 'queued' CONSTRAINT known_state CHECK ({_one_of("state", *STATES)}),
  state_reason TEXT,
  priority INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  interruptions INTEGER NOT NULL DEFAULT 0 CHECK (interruptions >= 0),
  crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0),
  not_before TEXT,
  waiting_on TEXT CONSTRAINT known_wait CHECK ({_one_of("waiting_on", *WAITS)}),
  error_kind TEXT CONSTRAINT known_error CHECK ({_one_of("error_kind", *ERRORS)}),
  error_detail TEXT,
  enqueued_at TEXT NOT NULL,
  claimed_at TEXT,
  finished_at TEXT,
  launch_id INTEGER REFERENCES launches (id),
  claim_id TEXT,
  files_total INTEGER NOT NULL DEFAULT 0,
  files_done INTEGER NOT NULL DEFAULT 0,
  bytes_total INTEGER NOT NULL DEFAULT 0,
  bytes_done INTEGER NOT NULL DEFAULT 0,
  bytes_verified INTEGER NOT NULL DEFAULT 0,
  bytes_resumed INTEGER NOT NULL DEFAULT 0,
  progress_mark INTEGER NOT NULL DEFAULT 0,
  verify_passes INTEGER NOT NULL DEFAULT 0,
  verified_at TEXT,
  CONSTRAINT in_flight_has_claim CHECK (
    state NOT IN ('running', 'verifying') OR (claim_id IS NOT NULL AND launch_id IS NOT NULL))
) STRICT
""",
    f"""
CREATE TABLE sync_files (
  job_id INTEGER NOT NULL,
  path ANY NOT NULL CONSTRAINT path_is_text_or_bytes CHECK (typeof(path) IN ('text', 'blob')),
  size INTEGER NOT NULL CHECK (size >= 0),
  mtime_ns INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending'
    CONSTRAINT known_state CHECK ({_one_of("state", "pending", "copied", "verified")}),
  bytes_done INTEGER NOT NULL DEFAULT 0 CHECK (bytes_done >= 0),
  prefix_sha256 TEXT,
  sha256 TEXT,
  PRIMARY KEY (job_id, path),
  FOREIGN KEY (job_id) REFERENCES sync_jobs (id) ON DELETE CASCADE,
  CONSTRAINT sent_has_hash CHECK (state = 'pending' OR (sha256 IS NOT NULL AND bytes_done = size))
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE job_transitions (
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  meaning TEXT NOT NULL,
  PRIMARY KEY (from_state, to_state)
) STRICT, WITHOUT ROWID
""",
    """
CREATE TABLE job_events (
  id INTEGER NOT NULL PRIMARY KEY,
  job_id INTEGER NOT NULL,
  at TEXT NOT NULL,
  from_state TEXT,
  to_state TEXT NOT NULL,
  reason TEXT,
  launch_id INTEGER,
  detail TEXT,
  FOREIGN KEY (job_id) REFERENCES sync_jobs (id) ON DELETE CASCADE
) STRICT
""",
    f"""
CREATE TABLE quit_requests (
  id INTEGER NOT NULL PRIMARY KEY,
  launch_id INTEGER NOT NULL REFERENCES launches (id),
  requested_at TEXT NOT NULL,
  trigger TEXT NOT NULL CONSTRAINT known_trigger CHECK ({_one_of("trigger", "tray", "window", "api", "cli", "signal")}),
  window_s REAL,
  prompts INTEGER NOT NULL DEFAULT 0,
  waits INTEGER NOT NULL DEFAULT 0,
  blocking_sessions INTEGER,
  blocking_jobs INTEGER,
  outcome TEXT CONSTRAINT known_outcome CHECK ({_one_of("outcome", "drained", "forced", "kept_running")}),
  decided_at TEXT,
  force INTEGER NOT NULL DEFAULT 0 CHECK (force IN (0, 1)),
  asking_since TEXT,
  asker_until TEXT,
  answer TEXT CONSTRAINT known_answer CHECK ({_one_of("answer", "force", "wait", "keep_running")})
) STRICT
""",
)

INDEXES = (
    "CREATE INDEX jobs_due ON sync_jobs (priority DESC, id) WHERE state = 'queued' AND not_before IS NULL",
    "CREATE INDEX jobs_delayed ON sync_jobs (not_before) WHERE state = 'queued' AND not_before IS NOT NULL",
    f"CREATE INDEX jobs_unsettled ON sync_jobs (state) WHERE {IN_FLIGHT} OR state = 'resumable' OR state = 'failed'",
    (
        "CREATE INDEX jobs_waiting ON sync_jobs (destination, waiting_on)"
        " WHERE state = 'queued' AND waiting_on IS NOT NULL"
    ),
    ("CREATE UNIQUE INDEX jobs_one_unfinished ON sync_jobs (run_path, destination) WHERE finished_at IS NULL"),
    "CREATE INDEX leases_active ON session_leases (expires_at) WHERE state = 'active'",
    "CREATE INDEX launches_open ON launches (id) WHERE ended_at IS NULL",
    "CREATE INDEX events_by_job ON job_events (job_id)",
    "CREATE INDEX quits_undecided ON quit_requests (launch_id) WHERE outcome IS NULL",
)


def _refusals() -> str:
    # RAISE takes only a literal before SQLite 3.47, and distributions' sqlite3 shells are older: one literal per pair.
    legal = {source: [t for s, t, _ in MOVES if s == source] for source in STATES}
    cases = []
    for source in STATES:
        allowed = ", ".join(legal[source]) or "nothing: it is final"
        cases += [
            f"    WHEN OLD.state = '{source}' AND NEW.state = '{target}' THEN RAISE(ABORT, "
            f"'a {source} job cannot become {target}; from {source} it can become: {allowed}')"
            for target in STATES
            if target != source and target not in legal[source]
        ]
    return "\n".join(cases)


def _legal() -> str:
    return " OR ".join(f"(OLD.state = '{source}' AND NEW.state = '{target}')" for source, target, _ in MOVES)


TRIGGERS = (
    f"""
CREATE TRIGGER jobs_refuse_illegal_move BEFORE UPDATE OF state ON sync_jobs
WHEN NEW.state <> OLD.state AND NOT ({_legal()})
BEGIN
  SELECT CASE
{_refusals()}
  END;
END
""",
    # A job without an end counts as pending: a finished job that is inserted by hand gets one.
    f"""
CREATE TRIGGER jobs_follow_insert AFTER INSERT ON sync_jobs
WHEN NEW.finished_at IS NULL AND {_one_of("NEW.state", *FINISHED)}
BEGIN
  UPDATE sync_jobs SET finished_at = {NOW} WHERE id = NEW.id;
END
""",
    f"""
CREATE TRIGGER jobs_log_move AFTER UPDATE OF state ON sync_jobs
WHEN NEW.state <> OLD.state AND NOT {RECOVERED}
BEGIN
  INSERT INTO job_events (job_id, at, from_state, to_state, reason, launch_id, detail)
  VALUES (NEW.id, {NOW}, OLD.state, NEW.state,
    CASE WHEN NEW.state_reason IS OLD.state_reason THEN 'changed with SQL' ELSE NEW.state_reason END,
    NEW.launch_id, NEW.error_detail);
END
""",
    # A job that recovery moves from in flight to queued has passed through resumable: the log shows both steps. The
    # reason is how its launch ended.
    f"""
CREATE TRIGGER jobs_log_recovery AFTER UPDATE OF state ON sync_jobs
WHEN NEW.state <> OLD.state AND {RECOVERED}
BEGIN
  INSERT INTO job_events (job_id, at, from_state, to_state, reason, launch_id, detail) VALUES
    (NEW.id, {NOW}, OLD.state, 'resumable', NEW.state_reason, OLD.launch_id, NULL),
    (NEW.id, {NOW}, 'resumable', NEW.state, NEW.state_reason, NEW.launch_id, NEW.error_detail);
END
""",
    f"""
CREATE TRIGGER jobs_follow_move AFTER UPDATE OF state ON sync_jobs
WHEN NEW.state <> OLD.state AND (
  ({_one_of("NEW.state", *FINISHED)}) <> (NEW.finished_at IS NOT NULL)
  OR (NEW.claim_id IS NOT NULL AND NEW.state NOT IN ('running', 'verifying'))
  OR (NEW.state <> 'queued' AND (NEW.waiting_on IS NOT NULL OR NEW.not_before IS NOT NULL))
  OR OLD.state = 'failed' OR NEW.state_reason IS OLD.state_reason)
BEGIN
  UPDATE sync_jobs SET
    finished_at = CASE WHEN {_one_of("NEW.state", *FINISHED)}
      THEN coalesce(NEW.finished_at, {NOW}) END,
    claim_id = CASE WHEN NEW.state IN ('running', 'verifying') THEN NEW.claim_id END,
    waiting_on = CASE WHEN NEW.state = 'queued' THEN NEW.waiting_on END,
    not_before = CASE WHEN NEW.state = 'queued' AND OLD.state <> 'failed' THEN NEW.not_before END,
    attempts = CASE WHEN OLD.state = 'failed' AND NEW.state = 'queued' THEN 0 ELSE NEW.attempts END,
    crashes = CASE WHEN OLD.state = 'failed' AND NEW.state = 'queued' THEN 0 ELSE NEW.crashes END,
    error_kind = CASE WHEN OLD.state = 'failed' AND NEW.state = 'queued' THEN NULL ELSE NEW.error_kind END,
    error_detail = CASE WHEN OLD.state = 'failed' AND NEW.state = 'queued' THEN NULL ELSE NEW.error_detail END,
    state_reason = CASE WHEN NEW.state_reason IS OLD.state_reason THEN 'changed with SQL' ELSE NEW.state_reason END
  WHERE id = NEW.id;
END
""",
    """
CREATE TRIGGER jobs_keep_unfinished BEFORE DELETE ON sync_jobs
WHEN OLD.state IN ('queued', 'running', 'verifying', 'resumable')
BEGIN
  SELECT RAISE(ABORT, 'an unfinished job cannot be deleted; set its state to cancelled first');
END
""",
    # Deleting the newest job is ignored silently: its number, and its folder on the NAS, would be reused.
    """
CREATE TRIGGER jobs_keep_newest BEFORE DELETE ON sync_jobs
WHEN OLD.finished_at IS NOT NULL AND OLD.id = (SELECT max(id) FROM sync_jobs)
BEGIN
  SELECT RAISE(IGNORE);
END
""",
    # The sqlite3 shell leaves foreign keys off: the rows of a deleted job would stay behind.
    """
CREATE TRIGGER jobs_take_their_rows AFTER DELETE ON sync_jobs
BEGIN
  DELETE FROM sync_files WHERE job_id = OLD.id;
  DELETE FROM job_events WHERE job_id = OLD.id;
END
""",
    """
CREATE TRIGGER events_append_only_update BEFORE UPDATE ON job_events
BEGIN
  SELECT RAISE(ABORT, 'job_events is append-only');
END
""",
    # A cascade deletes events after their job is gone; only that is allowed.
    """
CREATE TRIGGER events_append_only_delete BEFORE DELETE ON job_events
WHEN EXISTS (SELECT 1 FROM sync_jobs WHERE id = OLD.job_id)
BEGIN
  SELECT RAISE(ABORT, 'job_events is append-only; it goes when its job is deleted');
END
""",
    """
CREATE TRIGGER leases_stay_closed BEFORE UPDATE OF state ON session_leases
WHEN OLD.state <> 'active' AND NEW.state <> OLD.state
BEGIN
  SELECT RAISE(ABORT, 'a closed session stays as it is; open a new one');
END
""",
    f"""
CREATE TRIGGER leases_follow_close AFTER UPDATE OF state ON session_leases
WHEN NEW.state <> 'active' AND NEW.closed_at IS NULL
BEGIN
  UPDATE session_leases SET closed_at = {NOW} WHERE id = NEW.id;
END
""",
)

VIEWS = (
    f"""
CREATE VIEW drain_status AS
SELECT active_sessions, in_flight_jobs, (active_sessions = 0 AND in_flight_jobs = 0) AS idle
FROM (SELECT
  (SELECT count(*) FROM session_leases WHERE state = 'active' AND expires_at > {NOW}) AS active_sessions,
  (SELECT count(*) FROM sync_jobs WHERE {IN_FLIGHT}) AS in_flight_jobs)
""",
    f"""
CREATE VIEW drain_blockers AS
SELECT 'job' AS kind, CAST(id AS TEXT) AS id, CAST(run_path AS TEXT) || ' → ' || destination AS label,
  claimed_at AS since, bytes_total - bytes_done AS bytes_left,
  CASE WHEN bytes_total > 0 THEN round(100.0 * (bytes_done + bytes_verified) / (2 * bytes_total), 1) END AS percent,
  CASE WHEN bytes_done > bytes_resumed AND bytes_total > 0 THEN round(
    (bytes_total - bytes_done) * (julianday('now') - julianday(claimed_at)) * 86400.0
    / (bytes_done - bytes_resumed), 0) END AS eta_s
FROM sync_jobs WHERE {IN_FLIGHT}
UNION ALL
SELECT 'session', id, label || coalesce(' (' || operator || ')', ''), opened_at, NULL, NULL,
  round((julianday(expires_at) - julianday('now')) * 86400.0, 0)
FROM session_leases WHERE state = 'active' AND expires_at > {NOW}
""",
    """
CREATE VIEW pending_work AS
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, state,
  CASE WHEN state IN ('running', 'verifying') THEN 'in flight'
    WHEN state = 'resumable' THEN 'resumes at the next launch'
    WHEN waiting_on IS NOT NULL THEN 'waits: ' || waiting_on
    WHEN not_before IS NOT NULL THEN 'tried again after ' || not_before
    ELSE 'waits for a worker' END AS why,
  priority, attempts, interruptions, crashes, error_kind, error_detail,
  bytes_done, bytes_total, files_done, files_total, enqueued_at, not_before
FROM sync_jobs WHERE state IN ('queued', 'running', 'verifying', 'resumable')
""",
    """
CREATE VIEW failed_work AS
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, error_kind, error_detail, attempts, crashes, finished_at
FROM sync_jobs WHERE state = 'failed'
""",
    """
CREATE VIEW cleanup_candidates AS
SELECT id, CAST(run_path AS TEXT) AS run_path, destination, bytes_total, verify_passes, verified_at
FROM sync_jobs WHERE state = 'verified'
""",
    """
CREATE VIEW launch_history AS
SELECT id, started_at, ended_at, coalesce(end_reason, 'still running, or not seen since') AS ended,
  jobs_resumed, host, pid, version, healthy_at, draining_since
FROM launches
""",
    """
CREATE VIEW quit_history AS
SELECT q.id, q.requested_at, q.trigger, q.outcome, q.decided_at,
  round((julianday(q.decided_at) - julianday(q.requested_at)) * 86400.0, 3) AS took_s,
  q.window_s, q.prompts, q.waits, q.blocking_sessions, q.blocking_jobs, q.launch_id
FROM quit_requests q
""",
)

VIEW_NAMES = (
    "quit_history",
    "launch_history",
    "cleanup_candidates",
    "failed_work",
    "pending_work",
    "drain_blockers",
    "drain_status",
)
TABLE_NAMES = (
    "quit_requests",
    "job_events",
    "job_transitions",
    "sync_files",
    "sync_jobs",
    "session_leases",
    "launches",
    "installation",
)


def upgrade() -> None:
    """Create everything and fill in the state machine."""
    for statement in TABLES + INDEXES + TRIGGERS + VIEWS:
        op.execute(statement)
    for source, target, meaning in MOVES:
        op.execute(f"INSERT INTO job_transitions VALUES ('{source}', '{target}', '{meaning}')")
    op.execute(f"INSERT INTO installation VALUES (1, lower(hex(randomblob(8))), {NOW})")


def downgrade() -> None:
    """Drop everything, including pending work."""
    for name in VIEW_NAMES:
        op.execute(f"DROP VIEW {name}")
    op.execute("DROP TRIGGER jobs_keep_unfinished")
    op.execute("DROP TRIGGER events_append_only_delete")
    for name in TABLE_NAMES:
        op.execute(f"DROP TABLE {name}")
