"""One look at the database says what the icon needs, and what followed from an end that cut work off."""

from __future__ import annotations

import pytest
from tests.support import given
from tests.support.virtual_quit import MIDNIGHT, VirtualClock

from exlab_wizard.domain.headline import Condition, HeadlineState, condition
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import StoreError
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.supervisor import Supervised, Supervisor
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.reports import status
from exlab_wizard.store.reports.status import LaunchSummary
from exlab_wizard.store.store import Store
from exlab_wizard.tray.icon.menu import UNREADABLE, items, read_headline

JOBS = status.MOST_JOBS + 12


def test_a_look_counts_what_is_pending_and_how_far_it_is(store: Store) -> None:
    launch_id = given.launch(store).launch_id
    assert store.status.summary(launch_id, given.NOW) == LaunchSummary(0, 0, 0, 0, None, 0, 0, paused=False)
    for name in ("a", "b", "c"):
        given.enqueue(store, name)
    first, second = given.claim(store, launch_id), given.claim(store, launch_id)
    given.execute(store, f"UPDATE sync_jobs SET bytes_total = 100, bytes_done = 40 WHERE id = {first.job_id}")
    given.execute(
        store,
        f"UPDATE sync_jobs SET bytes_total = 300, bytes_done = 240, bytes_verified = 120 WHERE id={second.job_id}",
    )
    store.sessions.open(NewSession(SessionKind.RUN, "scan", 60, id="s"), launch_id, given.NOW)
    store.launches.pause(launch_id, given.NOW)
    found = store.status.summary(launch_id, given.NOW)
    assert (found.sessions, found.in_flight, found.moved, found.total) == (1, 2, 400, 800)
    assert (found.queued, found.failed, found.paused) == (1, 0, True)
    assert found.left_s is not None
    assert store.metrics.active_sessions(given.NOW) == {"run": 1}
    assert store.status.summary(launch_id, given.later(61)).sessions == 0
    # It has expired, though nobody has closed it yet: no quit waits for it.
    assert store.metrics.active_sessions(given.later(61)) == {}
    assert [one.id for one in store.rows.active_sessions(limit=1)] == ["s"]
    store.jobs.finish_and_claim(first, given.FAILED, launch_id, given.NOW)
    assert store.status.summary(launch_id, given.NOW).failed == 1
    assert store.metrics.failed() == {"nas": 1}


def test_what_cannot_be_read_or_has_died_is_a_trouble_never_an_error(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch_id = given.launch(store).launch_id
    supervisor, clock = Supervisor(lambda: None), VirtualClock()
    safe_mode = SafeMode(store, launch_id, clock)

    def headline_now() -> HeadlineState:
        return read_headline(store, launch_id, clock, Phase.RUNNING, supervisor, safe_mode)

    assert clock.now() == MIDNIGHT
    assert headline_now() == HeadlineState()
    supervisor.add(Supervised("icon", lambda: False, "there is no icon"))
    assert headline_now().trouble == "Needs a restart: icon ended unexpectedly"
    # While a run is copied and the rest is paused, too: it asks for the most.
    given.enqueue(store, "a")
    given.claim(store, launch_id)
    store.launches.pause(launch_id, given.NOW)
    found = headline_now()
    assert (found.in_flight, found.paused, condition(found)) == (1, True, Condition.ATTENTION)
    assert items(found)[1].text == "Needs a restart: icon ended unexpectedly"

    def unreadable(*_: object) -> LaunchSummary:
        raise StoreError("disk I/O error")

    monkeypatch.setattr(store.status, "summary", unreadable)
    assert headline_now().trouble == UNREADABLE


def cut_off(store: Store, *, marked: bool) -> int:
    """Let a launch send something of `JOBS` runs, end, and be followed by another; return that one's number.

    With `marked` its quit had the time to mark the rows; job n has sent n bytes.
    """
    first = given.launch(store).launch_id
    for job_id in given.enqueue(store, *(f"run-{number:03d}" for number in range(JOBS))):
        job = given.claim(store, first)
        assert job.job_id == job_id
        assert store.files.checkpoint(job_id, job.claim_id, [], [], given.progress(job_id))
    if marked:
        store.jobs.interrupt_launch(first, "cut off by a quit")
        store.launches.end(first, "forced", given.NOW)
    return given.launch(store).launch_id


def newest_event(store: Store) -> int:
    number = given.execute(store, "SELECT max(id) FROM job_events")[0][0]
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("marked", [False, True])
def test_the_bytes_of_all_that_goes_on_are_counted(store: Store, *, marked: bool) -> None:
    launch_id = cut_off(store, marked=marked)
    newest = newest_event(store)
    found = store.status.last_exit(launch_id, newest)
    assert found is not None
    assert (found.resumed, found.bytes_kept, found.all_counted) == (JOBS, sum(range(1, JOBS + 1)), True)
    assert len(found.jobs) == status.MOST_JOBS
    # What happens later moves nothing into the sum, and what the next attempt found corrects it.
    job = given.claim(store, launch_id)
    given.execute(store, f"UPDATE sync_jobs SET bytes_resumed = 1000 WHERE id = {job.job_id}")
    given.enqueue(store, "another")
    again = store.status.last_exit(launch_id, newest)
    assert again is not None
    assert (again.resumed, again.bytes_kept) == (JOBS, found.bytes_kept - job.job_id + 1000)


def test_more_than_can_be_counted_is_told_as_the_least(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    launch_id = cut_off(store, marked=True)
    monkeypatch.setattr(status, "MOST_COUNTED", 5)
    found = store.status.last_exit(launch_id, newest_event(store))
    assert found is not None
    assert (found.resumed, found.all_counted) == (JOBS, False)
    assert 0 < found.bytes_kept < sum(range(1, JOBS + 1))
