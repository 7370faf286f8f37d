"""What notifications say, and when: pure, with time as a number."""

from __future__ import annotations

import pytest

from exlab_wizard.desktop.notifications.messages import Outages, UnseenFailures, asked, gist, resumed
from exlab_wizard.domain.job import WaitReason
from exlab_wizard.domain.quit import Blocker, DrainCount, QuitStatus
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.reports.events import Failure

OFFLINE, FULL = WaitReason.DESTINATION_OFFLINE, WaitReason.DESTINATION_FULL
NAS = ("nas", OFFLINE)
HOSTILE = "/runs/a\nverified \x1b[2J\u202egnp.<b>&"
NEVER = float("inf")


def recovery(*, crashed: bool = True, resumed_jobs: int = 2, loops: int = 0) -> Recovery:
    return Recovery(5, crashed, False, resumed_jobs, resumed_jobs, loops, 0)  # noqa: FBT003 - in the order of the class


def blocker(number: int = 1, label: str = "/runs/run-1", percent: float | None = 41.0) -> Blocker:
    return Blocker("job", str(number), label, "", 3 << 30, percent, 240.0)


def standing(*blockers: Blocker) -> QuitStatus:
    return QuitStatus(DrainCount(0, len(blockers)), list(blockers))


def failure(number: int, path: str = "/runs/run") -> Failure:
    return Failure(number, f"{path}-{number}", "nas", "auth", "Make the folder writable, then retry the job.")


@pytest.mark.parametrize(("runs", "said"), [(1, "1 run resumed"), (2, "2 runs resumed")])
def test_after_a_bad_end_it_says_how_many_runs_were_resumed(runs: int, said: str) -> None:
    notice = resumed(recovery(resumed_jobs=runs))
    assert notice is not None
    assert (notice.title, notice.page) == (said, "/")
    assert notice.body.startswith(f"{said} after ExLab-Wizard ended unexpectedly.")


def test_nothing_is_said_after_a_good_end_or_when_nothing_was_cut_off() -> None:
    assert resumed(recovery(crashed=False)) is None
    assert resumed(recovery(resumed_jobs=0)) is None


def test_a_run_that_was_given_up_at_the_start_is_said_even_when_none_was_resumed() -> None:
    notice = resumed(recovery(resumed_jobs=0, loops=1))
    assert notice is not None
    assert notice.body.startswith("1 run failed")
    assert notice.page == "/history?state=failed"


def test_the_question_names_operations_percent_bytes_and_time_and_says_the_truth() -> None:
    notice = asked(standing(blocker(), blocker(2, "/runs/run-2", None)))
    assert notice.title == "2 operations still running. Force quit anyway?"
    assert notice.body.splitlines() == [
        "run-1: 41%, 3.0 GiB left to send, about 4 min left",
        "run-2: 3.0 GiB left to send, about 4 min left",
        "They will resume at the next launch.",
    ]
    assert [title for _, title in notice.buttons] == ["Force quit", "Wait", "Keep running"]


def test_the_question_names_three_operations_and_counts_the_others() -> None:
    lines = asked(standing(*(blocker(number) for number in range(9)))).body.splitlines()
    assert len(lines) == 5
    assert lines[3] == "and 6 more"


def test_the_question_about_what_is_unknown_says_why() -> None:
    notice = asked(QuitStatus(None, [], "the database is locked"))
    assert notice.title.startswith("Cannot tell what is still running")
    assert "the database is locked" in notice.body


def test_the_question_says_something_new_when_work_ends_or_has_come_a_good_way() -> None:
    first = gist(standing(blocker(percent=41.0), blocker(2)))
    assert gist(standing(blocker(percent=44.9), blocker(2))) == first
    assert gist(standing(blocker(percent=45.0), blocker(2)))[1] != first[1]
    assert gist(standing(blocker(2)))[0] != first[0]


def test_hostile_names_are_shown_and_move_nothing() -> None:
    failures = UnseenFailures()
    failures.add([failure(1, HOSTILE)], 0.0)
    failed = failures.notice(5.0)
    assert failed is not None
    for text in (failed.body, asked(standing(blocker(1, HOSTILE))).body.splitlines()[0]):
        assert text.isprintable()
        assert "\\x1b[2J\\u202e" in text


def test_long_names_and_errors_are_cut() -> None:
    failures = UnseenFailures()
    failures.add([Failure(1, "/runs/" + "x" * 5000, "nas", "auth", "y" * 5000)], 0.0)
    notice = failures.notice(5.0)
    assert notice is not None
    assert len(notice.title) < 40
    assert len(notice.body) < 400


def test_one_failure_names_the_run_and_the_remedy_and_leads_to_the_run() -> None:
    failures = UnseenFailures()
    failures.add([failure(7)], 100.0)
    assert failures.due == 105.0
    assert failures.notice(104.9) is None
    notice = failures.notice(105.0)
    assert notice is not None
    assert (notice.title, notice.page) == ("1 run was not synced", "/runs/7")
    assert notice.body == "run-7 to nas: Make the folder writable, then retry the job."
    assert (failures.due, failures.notice(200.0)) == (NEVER, None)


def test_fifty_failures_within_five_seconds_are_one_notification_with_a_count() -> None:
    failures = UnseenFailures()
    for number in range(50):
        failures.add([failure(number)], number * 0.1)
    notice = failures.notice(5.0)
    assert notice is not None
    assert notice.title == "50 runs were not synced"
    assert "and 47 more" in notice.body
    assert notice.page == "/history?state=failed"
    assert failures.notice(60.0) is None


def test_what_was_not_seen_is_counted_again_and_what_was_seen_is_not() -> None:
    failures = UnseenFailures()
    failures.add([failure(1)], 0.0)
    assert failures.notice(5.0) is not None
    failures.add([failure(2), failure(1)], 60.0)
    notice = failures.notice(65.0)
    assert notice is not None
    assert notice.title == "2 runs were not synced"
    failures.seen()
    failures.add([failure(3)], 70.0)
    notice = failures.notice(75.0)
    assert notice is not None
    assert notice.body.startswith("run-3")


def test_an_outage_is_said_once_after_ten_minutes() -> None:
    outages = Outages()
    assert outages.poll({NAS: 3}, 0, 0.0, 600.0) == []
    assert outages.due(0.0, 600.0) == 600.0
    assert outages.poll({NAS: 3}, 0, 599.9, 600.0) == []
    (notice,) = outages.poll({NAS: 3}, 0, 600.0, 600.0)
    assert notice.title == "nas has been offline for 10 min"
    assert notice.body.startswith("3 runs are waiting.")
    assert outages.due(600.0, 600.0) == NEVER
    assert outages.poll({NAS: 4}, 0, 5000.0, 600.0) == []


def test_two_destinations_are_two_outages_and_a_full_one_says_so() -> None:
    outages = Outages()
    held = {NAS: 1, ("archive", FULL): 2}
    outages.poll(held, 0, 0.0, 600.0)
    titles = [notice.title for notice in outages.poll(held, 0, 600.0, 600.0)]
    assert titles == ["nas has been offline for 10 min", "archive has been full for 10 min"]


def test_an_outage_that_ends_before_it_was_said_is_never_said() -> None:
    outages = Outages()
    outages.poll({NAS: 1}, 0, 0.0, 600.0)
    outages.poll({}, 0, 300.0, 600.0)
    assert outages.due(300.0, 600.0) == 310.0
    outages.poll({}, 0, 310.0, 600.0)
    assert outages.poll({NAS: 1}, 0, 700.0, 600.0) == []
    assert outages.maybe_over(800.0) == []


def test_a_try_that_fails_again_does_not_end_an_outage() -> None:
    outages = Outages()
    outages.poll({NAS: 1}, 0, 0.0, 600.0)
    outages.poll({}, 0, 595.0, 600.0)
    assert len(outages.poll({NAS: 1}, 0, 601.0, 600.0)) == 1
    outages.poll({}, 0, 1200.0, 600.0)
    assert outages.maybe_over(1209.0) == []
    outages.poll({NAS: 1}, 0, 1209.0, 600.0)
    assert outages.maybe_over(1300.0) == []


@pytest.mark.parametrize("proof", ["arrived", "moved"])
def test_that_it_is_back_is_said_once_it_is_proven_and_only_then(proof: str) -> None:
    outages = Outages()
    outages.poll({NAS: 1}, 40, 0.0, 600.0)
    outages.poll({NAS: 1}, 42, 600.0, 600.0)
    outages.poll({}, 43, 900.0, 600.0)
    assert outages.maybe_over(905.0) == []
    assert outages.due(905.0, 600.0) == 910.0
    assert outages.maybe_over(910.0) == [("nas", 42)]
    assert outages.back("nas", arrived=False, sent={7: 100}) == []
    assert outages.back("nas", arrived=False, sent={7: 100, 8: 5000}) == []
    arrived, sent = (True, {}) if proof == "arrived" else (False, {7: 101})
    (notice,) = outages.back("nas", arrived=arrived, sent=sent)
    assert notice.title == "nas is back online"
    assert outages.maybe_over(2000.0) == []


def test_what_was_not_said_since_the_operator_looked_is_not_said_to_be_over() -> None:
    outages = Outages()
    outages.poll({NAS: 1}, 0, 0.0, 600.0)
    assert outages.poll({NAS: 1}, 0, 600.0, 600.0, quiet=True) == []
    assert outages.poll({NAS: 1}, 0, 700.0, 600.0) == []
    outages.poll({}, 0, 900.0, 600.0)
    assert outages.back("nas", arrived=True, sent={}) == []
    assert outages.maybe_over(2000.0) == []
