"""What followed from an end that cut work off: how many runs, and all the bytes of theirs that stay."""

from __future__ import annotations

import pytest
from tests.support import given

from exlab_wizard.store.reports import status
from exlab_wizard.store.store import Store

JOBS = status.MOST_JOBS + 12


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
