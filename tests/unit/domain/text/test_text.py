"""Words for states, reasons, errors and quits; names that may hold anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import views

from exlab_wizard.domain.files import FileState
from exlab_wizard.domain.job import ErrorKind, JobState, WaitReason
from exlab_wizard.domain.quit import Blocker, DrainCount, QuitStatus
from exlab_wizard.domain.text.jobs import (
    ERRORS,
    FILE_STATES,
    PLACED,
    REMEDIES,
    SESSION_STATES,
    STATES,
    WAITS,
    budget,
    percent_done,
    progress,
    waiting,
)
from exlab_wizard.domain.text.names import run_name, sentence, shortened, visible
from exlab_wizard.domain.text.quit import (
    ENDINGS,
    describe,
    ending,
    farewell,
    promise,
    question,
    question_in_full,
    resumption,
)
from exlab_wizard.domain.views import LeaseState
from exlab_wizard.server.api.metrics import END_REASONS


def test_every_state_reason_and_error_has_its_words() -> None:
    assert set(STATES) == set(PLACED) == set(JobState)
    assert set(FILE_STATES) == set(FileState)
    assert set(SESSION_STATES) == set(LeaseState)
    assert set(ENDINGS) == set(END_REASONS)
    assert set(WAITS) == set(WaitReason)
    assert set(ERRORS) == set(REMEDIES) == set(ErrorKind)
    assert all("{destination}" in phrase for phrase in PLACED.values())
    assert all(wait.outlook.endswith(".") and not wait.reason.endswith(".") for wait in WAITS.values())


def test_a_wait_says_what_to_do_where_there_is_something_to_do() -> None:
    assert waiting("destination_offline") == "the destination is offline; mount the share"
    assert waiting("source_changing") == "the run is still being written"


def test_sending_is_one_half_of_the_way_and_reading_back_the_other() -> None:
    assert percent_done(0, 0, 0) is None
    assert [percent_done(10, done, verified) for done, verified in ((0, 0), (10, 0), (10, 10), (11, 11))] == [
        0,
        50,
        100,
        100,
    ]
    assert progress(1 << 30, 1 << 30, 0) == "50% of 1.0 GiB"
    assert not progress(0, 0, 0)


def test_budgets_are_explained_only_where_there_is_something_to_explain() -> None:
    assert budget(views.job(attempts=1)) == []
    told = budget(views.job(attempts=3, interruptions=2, crashes=1))
    assert [sentences.partition(". ")[0] for sentences in told] == [
        "Attempted 3 times",
        "Interrupted twice, and resumed where it stopped",
        "ExLab-Wizard ended unexpectedly while it worked on this run",
    ]
    assert "unexpectedly twice in a row while" in budget(views.job(crashes=2))[0]


def test_the_question_counts_and_promises_in_the_singular_and_the_plural() -> None:
    assert question(1) == "1 operation still running. Force quit anyway?"
    assert question(3) == "3 operations still running. Force quit anyway?"
    assert [promise(count) for count in (None, 1, 2)] == [
        "It will resume at the next launch.",
        "It will resume at the next launch.",
        "They will resume at the next launch.",
    ]


def test_the_whole_question_names_what_runs_or_why_it_is_unknown() -> None:
    job = Blocker("job", "1", "/runs/a", "", 3 << 30, 41.9, 240.0)
    session = Blocker("session", "x", "scan\n", "", None, None, 50.0)
    bare = Blocker("session", "y", "prepare", "", None, None, None)
    assert question_in_full(QuitStatus(DrainCount(2, 1), [job, session, bare])).splitlines() == [
        "3 operations still running. Force quit anyway?",
        "  /runs/a: 41%, 3.0 GiB left to send, about 4 min left",
        r"  scan\n: its lease expires in 50 s",
        "  prepare",
        "They will resume at the next launch.",
    ]
    assert question_in_full(QuitStatus(None, [], "the disk is gone")).splitlines()[1] == "  the disk is gone"
    assert describe(bare) == "prepare"


@pytest.mark.parametrize(
    ("resumable", "queued", "words"),
    [
        (0, 0, "Nothing is pending."),
        (1, 0, "1 run resumes at the next launch."),
        (0, 1, "1 waiting run starts at the next launch."),
        (2, 3, "2 runs resume and 3 waiting runs start at the next launch."),
    ],
)
def test_the_farewell_says_what_the_next_launch_does(resumable: int, queued: int, words: str) -> None:
    assert farewell(resumable, queued) == words


def test_how_a_launch_ended_is_said_and_what_somebody_wrote_is_kept() -> None:
    assert ending("crashed") == "ended unexpectedly"
    assert ending("by hand") == "by hand"
    assert resumption(1, unexpected=True) == "1 run resumed after ExLab-Wizard ended unexpectedly."
    assert resumption(2, unexpected=False) == "2 runs resumed after ExLab-Wizard quit while runs were in flight."


def test_names_are_visible_and_short() -> None:
    assert visible("a\n\u202e\udcff") == r"a\n\u202e\xff"
    assert [run_name(path) for path in ("/data/run-1/", "C:\\data\\run-2", "/", "run\n")] == [
        "run-1",
        "run-2",
        "/",
        r"run\n",
    ]
    assert shortened("x" * 50, 60) == "x" * 50
    assert shortened("a" * 50 + "b" * 50, 10) == "aaaaa…bbbbb"
    assert sentence("is HTTP") == "Is HTTP"
    assert not sentence("")


@given(st.text())
def test_whatever_a_name_holds_is_printable_and_what_is_printable_stays(name: str) -> None:
    assert visible(name).isprintable()
    if name.isprintable():
        assert visible(name) == name
