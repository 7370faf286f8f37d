"""What each route answers, on the real program: bodies, repeats, pages, and refusals that say what to do."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from tests.integration.api.api import SMALL, Api, code_of, error_of, run_of
from tests.support.program import Program, until, write_run

from exlab_wizard.client import Client

pytestmark = pytest.mark.slow


@pytest.fixture
def run(served: Program) -> Path:
    """A run of its own."""
    return run_of(served, secrets.token_hex(4))


def test_a_session_is_opened_renewed_and_completed_with_its_runs(shared: Api, served: Program, run: Path) -> None:
    opened = shared.post(
        "/sessions", {"kind": "run", "label": "XRD", "operator": "Ada", "equipment_id": "xrd-1", "ttl_s": 30}
    )
    lease = opened.json()
    assert (opened.status_code, lease["state"], lease["heartbeat_s"]) == (201, "active", 10.0)
    assert (lease["shutting_down"], lease["deadline"]) == (False, None)
    renewed = shared.post(f"/sessions/{lease['id']}/heartbeat").json()
    assert renewed["expires_at"] >= lease["expires_at"]
    assert shared.get("/drain").json()["active_sessions"] >= 1
    closed = shared.post(f"/sessions/{lease['id']}/complete", {"runs": [{"path": str(run), "destination": "nas"}]})
    assert (closed.status_code, closed.json()["state"]) == (200, "completed")
    (job,) = closed.json()["jobs"]
    view = shared.get(f"/jobs/{job}").json()
    assert (view["run_path"], view["equipment_id"], view["session_id"]) == (str(run), "xrd-1", lease["id"])
    until(lambda: served.job_state(job) == "verified", what="the run")
    assert (served.nas / "xrd-1" / run.name / "a.raw").exists()


def test_opening_again_with_the_same_id_answers_the_same_session(shared: Api) -> None:
    wanted = {"kind": "project", "label": "wizard", "id": secrets.token_hex(16)}
    first, again = shared.post("/sessions", wanted), shared.post("/sessions", wanted)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"] == wanted["id"]
    assert code_of(shared.post("/sessions", {**wanted, "label": "another"})) == (409, "id_taken")
    shared.post(f"/sessions/{wanted['id']}/abort")
    assert code_of(shared.post("/sessions", wanted)) == (409, "session_closed")


def test_completing_again_answers_the_same_jobs_also_after_they_were_synced(
    shared: Api, served: Program, run: Path
) -> None:
    other = run_of(served, secrets.token_hex(4))
    pending = shared.enqueue(other).json()["id"]
    session = shared.open()
    # Named in a roundabout way: that is the same run.
    body = {"runs": [{"path": f"{path.parent}/x/../{path.name}/", "destination": "nas"} for path in (run, other)]}
    first = shared.post(f"/sessions/{session}/complete", body).json()
    until(lambda: all(served.job_state(job) == "verified" for job in first["jobs"]), what="both runs")
    again = shared.post(f"/sessions/{session}/complete", body)
    assert (again.status_code, again.json()) == (200, first)
    assert pending in first["jobs"] or served.job_state(pending) == "verified"
    more = {"runs": [{"path": str(served.home), "destination": "nas"}]}
    refused = shared.post(f"/sessions/{session}/complete", more)
    assert code_of(refused) == (409, "session_closed")
    assert code_of(shared.post(f"/sessions/{session}/abort")) == (409, "session_closed")
    assert code_of(shared.post(f"/sessions/{session}/heartbeat")) == (409, "session_closed")


def test_one_run_that_cannot_be_meant_leaves_the_session_open_and_queues_nothing(shared: Api, run: Path) -> None:
    session = shared.open()
    newest = shared.get("/jobs", limit=1).json()["jobs"][0]["id"] if shared.get("/jobs").json()["jobs"] else 0
    runs = [{"path": str(run), "destination": "nas"}, {"path": str(run / "missing"), "destination": "nas"}]
    refused = shared.post(f"/sessions/{session}/complete", {"runs": runs})
    assert code_of(refused) == (422, "run_refused")
    assert error_of(refused)["field"] == "runs.1.path"
    assert shared.get(f"/sessions/{session}").json()["state"] == "active"
    assert [job for job in shared.get("/jobs").json()["jobs"] if job["id"] > newest] == []
    shared.post(f"/sessions/{session}/abort")


def test_a_session_without_heartbeats_expires_and_its_run_can_still_be_queued(shared: Api, run: Path) -> None:
    session = shared.open(ttl_s=1)
    until(lambda: shared.get(f"/sessions/{session}").json()["state"] == "expired", what="the lease to run out")
    refused = shared.post(f"/sessions/{session}/heartbeat")
    assert code_of(refused) == (409, "session_expired")
    details = error_of(refused)["details"]
    assert isinstance(details, dict)
    assert details["remedies"] == ["POST /api/v1/sessions", "POST /api/v1/jobs"]
    assert code_of(shared.post(f"/sessions/{session}/complete", {"runs": []})) == (409, "session_expired")
    assert shared.enqueue(run).status_code == 201


def test_enqueueing_a_pending_run_finds_its_job_and_cancelling_twice_is_no_mistake(program: Program) -> None:
    program.configure(settle_s=3600.0)
    program.start()
    run = run_of(program)
    os.utime(run / "a.raw")
    with Api.of(program) as api:
        first, again = api.enqueue(run), api.enqueue(run)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        # The answer to the first may have been lost.
        for _ in range(2):
            cancelled = api.post(f"/jobs/{first.json()['id']}/cancel")
            assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        assert api.enqueue(run).status_code == 201


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{home}/nothing", (422, "run_refused")),
        ("{home}/runs/../nothing", (422, "run_refused")),
        ("relative/run", (422, "invalid")),
        ("", (422, "invalid")),
        ("{home}/config\x00.toml", (422, "run_refused")),
        ("{state}/config.toml", (422, "run_refused")),
        ("{home}", (422, "run_refused")),
        ("/", (422, "run_refused")),
        ("{nas}", (422, "run_refused")),
        ("/" + "x" * 5000, (422, "invalid")),
        ("/" + "x" * 3000, (422, "run_refused")),
    ],
)
def test_a_run_that_cannot_be_meant_is_refused(
    shared: Api, served: Program, path: str, expected: tuple[int, str]
) -> None:
    named = path.format(home=served.home, state=served.state, nas=served.nas)
    refused = shared.post("/jobs", {"run_path": named, "destination": "nas"})
    assert code_of(refused) == expected, refused.text
    assert error_of(refused)["field"] == "run_path"


def test_an_unknown_destination_is_refused_with_those_that_are_known(shared: Api, run: Path) -> None:
    refused = shared.post("/jobs", {"run_path": str(run), "destination": "nowhere"})
    assert code_of(refused) == (422, "unknown_destination")
    assert error_of(refused)["details"] == {"known": ["nas"]}
    assert error_of(refused)["field"] == "destination"


def test_what_the_state_forbids_is_refused_with_what_it_allows(shared: Api, served: Program, run: Path) -> None:
    job = shared.enqueue(run).json()["id"]
    until(lambda: served.job_state(job) == "verified", what="the run")
    for act in ("retry", "cancel"):
        refused = shared.post(f"/jobs/{job}/{act}")
        assert code_of(refused) == (409, "illegal_move")
        assert error_of(refused)["details"] == {"state": "verified", "legal_moves": ["cleaned"]}


def test_a_failed_job_is_retried(shared: Api, served: Program) -> None:
    run = write_run(served.home / "runs" / secrets.token_hex(4), SMALL)
    hidden = run.with_name(f"{run.name}.hidden")
    job = shared.enqueue(run).json()["id"]
    until(lambda: served.job_state(job) == "verified", what="the run")
    (run / "a.raw").write_bytes(b"another")
    os.utime(run / "a.raw", (1e9, 1e9))
    conflict = shared.enqueue(run).json()["id"]
    until(lambda: served.job_state(conflict) == "failed", what="the conflict")
    view = shared.get(f"/jobs/{conflict}").json()
    assert (view["error_kind"], bool(view["error_detail"])) == ("conflict", True)
    run.rename(hidden)
    assert shared.post(f"/jobs/{conflict}/retry").json()["state"] == "queued"
    until(lambda: served.job_state(conflict) == "failed", what="the retry to fail too")


def test_a_retry_of_a_run_that_is_pending_in_another_job_says_so(shared: Api, served: Program) -> None:
    run = write_run(served.home / "runs" / secrets.token_hex(4), SMALL)
    failed = shared.enqueue(run).json()["id"]
    until(lambda: served.job_state(failed) == "verified", what="the run")
    (run / "a.raw").write_bytes(b"another")
    os.utime(run / "a.raw", (1e9, 1e9))
    failed = shared.enqueue(run).json()["id"]
    until(lambda: served.job_state(failed) == "failed", what="the conflict")
    assert shared.post("/pause").status_code == 200
    try:
        other = shared.enqueue(run).json()["id"]
        refused = shared.post(f"/jobs/{failed}/retry")
        assert code_of(refused) == (409, "illegal_move")
        assert "Another job for the same run and destination is already pending" in str(error_of(refused)["message"])
        assert served.job_state(failed) == "failed"
        assert shared.post(f"/jobs/{other}/cancel").status_code == 200
    finally:
        assert shared.post("/resume").status_code == 200


@pytest.mark.parametrize("path", ["/sessions/nothing", "/jobs/4711", "/jobs/4711/events"])
def test_what_is_not_there_is_404(shared: Api, path: str) -> None:
    assert code_of(shared.get(path)) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/sessions/x/heartbeat", "/sessions/x/abort", "/jobs/4711/retry", "/jobs/4711/cancel"]
)
def test_what_is_not_there_cannot_be_changed(shared: Api, path: str) -> None:
    assert code_of(shared.post(path)) == (404, "not_found")


def test_pages_follow_each_other_without_gaps(shared: Api) -> None:
    opened = [shared.open(f"page {number}") for number in range(7)]
    seen: list[str] = []
    before: int | None = None
    while True:
        page = shared.get("/sessions", limit=3, **({} if before is None else {"before": before})).json()
        seen += [session["id"] for session in page["sessions"]]
        before = page["next"]
        if before is None:
            break
    assert seen[:7] == opened[::-1]
    assert len(set(seen)) == len(seen)
    for session in opened:
        shared.post(f"/sessions/{session}/abort")


def test_the_moves_of_a_job_are_listed_newest_first_down_to_its_queueing(
    shared: Api, served: Program, run: Path
) -> None:
    job = shared.enqueue(run).json()["id"]
    until(lambda: served.job_state(job) == "verified", what="the run")
    states: list[str] = []
    before: int | None = None
    while True:
        page = shared.get(f"/jobs/{job}/events", limit=1, **({} if before is None else {"before": before})).json()
        states += [event["to_state"] for event in page["events"]]
        before = page["next"]
        if before is None:
            break
    assert states == ["verified", "verifying", "running", "queued"]


def test_health_tells_who_asks_with_the_token_everything(shared: Api) -> None:
    told = shared.get("/health").json()
    assert told["components"]["workers"]["reason"]
    assert told["phase"] == "running"
    assert told["bytes_last_minute"] >= 0
    assert told["status"] in ("ok", "warn")


def test_a_name_that_is_no_unicode_is_shown_with_its_bytes(shared: Api, served: Program) -> None:
    odd = write_run(served.home / "runs" / os.fsdecode(b"odd-\xff"), SMALL)
    job = served.enqueue(odd)
    until(lambda: served.job_state(job) == "verified", what="the run")
    assert shared.get(f"/jobs/{job}").json()["run_path"].endswith("/odd-\\xff")
    assert shared.get("/jobs").status_code == 200
    assert shared.get("/status").status_code == 200


def test_runs_outside_the_allowed_folders_are_refused(program: Program) -> None:
    inside, outside = run_of(program), write_run(program.home / "elsewhere" / "run", SMALL)
    (program.home / "runs" / "link").symlink_to(outside)
    program.configure(more=f'[server]\nroots = ["{program.home / "runs"}"]\n')
    program.start()
    with Api.of(program) as api:
        assert api.enqueue(inside).status_code == 201
        for path in (outside, program.home / "runs" / "link", program.home / "runs" / ".." / "elsewhere" / "run"):
            assert code_of(api.enqueue(path)) == (403, "outside_roots")
        session = api.open()
        refused = api.post(f"/sessions/{session}/complete", {"runs": [{"path": str(outside), "destination": "nas"}]})
        assert code_of(refused) == (403, "outside_roots")
        assert error_of(refused)["field"] == "runs.0.path"


def test_times_typed_with_sql_that_are_none_fail_no_answer_page_or_command(api: Api, program: Program) -> None:
    session = api.open("typed", ttl_s=3600)
    (job,) = api.post(
        f"/sessions/{api.open('done')}/complete",
        {"runs": [{"path": str(run_of(program, "typed")), "destination": "nas"}]},
    ).json()["jobs"]
    until(lambda: program.job_state(job) == "verified", what="the run")
    program.query(
        "UPDATE sync_jobs SET enqueued_at = 'yesterday', claimed_at = '?', finished_at = '', verified_at = 'x'"
    )
    triggers = program.query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'job_events'")
    for name, _ in triggers:
        program.query(f"DROP TRIGGER {name!s}")
    program.query("UPDATE job_events SET at = 'noon'")
    for _, sql in triggers:
        program.query(str(sql))
    program.query("UPDATE session_leases SET opened_at = 'early', renewed_at = 'late' WHERE id = ?", session)
    program.query("UPDATE launches SET started_at = 'came', healthy_at = 'well'")
    assert api.get(f"/jobs/{job}").json()["enqueued_at"] == "yesterday"
    assert api.get("/jobs").json()["jobs"][0]["finished_at"] == ""
    assert {event["at"] for event in api.get(f"/jobs/{job}/events").json()["events"]} == {"noon", "yesterday"}
    assert api.get(f"/sessions/{session}").json()["opened_at"] == "early"
    assert [one["renewed_at"] for one in api.get("/sessions").json()["sessions"]].count("late") == 1
    assert code_of(api.post(f"/jobs/{job}/retry")) == (409, "illegal_move")
    assert api.post(f"/sessions/{session}/heartbeat").status_code == 200
    for path in ("/", "/history", "/launches", f"/runs/{job}", "/quit"):
        answer = api.http.get(path)
        assert answer.status_code == 200, (path, answer.text)
    assert "yesterday" in api.http.get(f"/runs/{job}").text
    with Client.at(program.state) as client:
        assert client.job(job).state == "verified"
        assert client.standing().failed == 0
    for command in (["status"], ["jobs"], ["jobs", str(job)], ["sessions"], ["history"]):
        for form in ([], ["--json"]):
            done = program.call(*command, *form)
            assert done.returncode == 0, (command, done.stderr)
    assert "yesterday" in program.call("jobs", str(job)).stdout
