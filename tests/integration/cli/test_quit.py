from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import pytest
from tests.integration.cli.calls import Answer, Cli
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.cli.commands.quit import POLL_INTERVAL_SECONDS
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.quit import QuitOutcome
from exlab_wizard.paths import StateDir
from exlab_wizard.process.instance_lock import instance_lock
from exlab_wizard.store.queue.launches import ThisProcess
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.store.store import Store

# Makes the pseudo terminal the one that the command belongs to, as a shell does.
IN_FOREGROUND = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def now() -> datetime:
    return datetime.now(UTC)


class Application(threading.Thread):
    """Stands in for the running application: holds the lock, takes a quit request, answers it by `act`."""

    def __init__(self, store: Store, state_dir: Path, act: Callable[[Application, PendingQuit], QuitOutcome]) -> None:
        super().__init__(daemon=True)
        self.store, self.act = store, act
        self.state_dir, self.lock = StateDir(state_dir), contextlib.ExitStack()
        process = ThisProcess("host", "boot", os.getpid(), "2026-01-01T00:00:00.000Z", "0")
        self.launch = store.launches.recover(process, now()).launch_id
        self.over = threading.Event()

    def __enter__(self) -> Self:
        self.lock.enter_context(instance_lock(self.state_dir))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join(PATIENCE_SECONDS)
        self.lock.close()

    def pause(self) -> None:
        self.over.wait(POLL_INTERVAL_SECONDS / 2)  # time: between two looks

    def run(self) -> None:
        while not self.over.is_set():
            asked = self.store.quits.undecided(self.launch)
            if asked:
                outcome = self.act(self, asked[0])
                self.store.quits.decide(self.launch, outcome, now())
                if outcome is not QuitOutcome.KEPT_RUNNING:
                    self.store.launches.end(self.launch, outcome.value, now())
                    self.lock.close()
                break
            self.pause()
        self.store.database.release()

    def ask(self, quit_id: int) -> str:
        self.store.quits.prompted(quit_id, now())
        while not self.over.is_set():
            answer = self.store.quits.undecided(self.launch)[0].answer
            if answer is not None:
                return answer
            self.pause()
        return ""


def drained(_: Application, __: PendingQuit) -> QuitOutcome:
    return QuitOutcome.DRAINED


def test_nothing_runs(cli: Cli, state_dir: Path) -> None:
    answer = cli("quit")
    assert answer.status == 3
    assert len(answer.err.splitlines()) == 1
    assert not state_dir.exists()


@pytest.mark.parametrize(("words", "forced"), [(["quit"], 0), (["quit", "--force"], 1)])
def test_a_quit_ends_when_the_application_is_gone(
    words: list[str], forced: int, cli: Cli, store: Store, state_dir: Path
) -> None:
    seen: list[PendingQuit] = []

    def act(_: Application, asked: PendingQuit) -> QuitOutcome:
        seen.append(asked)
        return QuitOutcome.FORCED if asked.force else QuitOutcome.DRAINED

    with Application(store, state_dir, act):
        answer = cli(*words, "--json")
    assert answer.status == 0
    assert isinstance(answer.document, dict)
    assert answer.document["outcome"] == ("forced" if forced else "drained")
    # Nobody is at a terminal here, and that is what the application is told.
    assert [(asked.force, asked.asker_until) for asked in seen] == [(forced, None)]


def test_kept_running_is_a_refusal(cli: Cli, store: Store, state_dir: Path) -> None:
    with Application(store, state_dir, lambda _, __: QuitOutcome.KEPT_RUNNING):
        answer = cli("quit")
    assert (answer.status, answer.out) == (4, "")
    assert "kept running" in answer.err


def test_the_time_to_wait_ends_with_1_and_names_what_is_waited_for(
    cli: Cli, store: Store, state_dir: Path, run_folder: Path
) -> None:
    def act(application: Application, _: PendingQuit) -> QuitOutcome:
        application.over.wait(PATIENCE_SECONDS)
        return QuitOutcome.DRAINED

    with Application(store, state_dir, act) as application:
        assert store.jobs.claim(application.launch, now()) is not None
        answer = cli("quit", "--wait-for", "0.3")
    assert answer.status == 1
    assert "has not finished yet" in answer.err
    assert str(run_folder) in answer.err
    assert store.jobs.state_of(1) is JobState.RUNNING


def at_a_terminal(command: list[str], typed: bytes, until: bytes) -> Answer:
    """Run a command at a pseudo terminal, type when `until` was printed, and return what it printed there."""
    import pty  # noqa: PLC0415 - is not to be had everywhere

    ours, theirs = pty.openpty()
    words = [sys.executable, "-c", IN_FOREGROUND, *command]
    with subprocess.Popen(
        words, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        os.close(theirs)
        giving_up = threading.Timer(PATIENCE_SECONDS, process.kill)
        giving_up.start()
        said = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:
                break
            if not more:
                break
            said += more
            if typed and until in said:
                os.write(ours, typed)
                typed = b""
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        giving_up.cancel()
    os.close(ours)
    return Answer(process.returncode, out.decode(), said.decode())


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
@pytest.mark.parametrize(
    ("typed", "answer", "outcome", "status"),
    [
        (b"f\n", "force", QuitOutcome.FORCED, 0),
        (b"nonsense\nk\n", "keep_running", QuitOutcome.KEPT_RUNNING, 4),
        (b"Wait\n", "wait", QuitOutcome.DRAINED, 0),
    ],
)
def test_the_question_is_answered_at_the_terminal(  # noqa: PLR0913, PLR0917 - one for each thing that differs
    typed: bytes, answer: str, outcome: QuitOutcome, status: int, store: Store, state_dir: Path, command: list[str]
) -> None:
    answers: list[str] = []

    def act(application: Application, asked: PendingQuit) -> QuitOutcome:
        answers.append(application.ask(asked.id) if asked.asker_until else "nobody to ask")
        return outcome

    with Application(store, state_dir, act) as application:
        assert store.jobs.claim(application.launch, now()) is not None
        ended = at_a_terminal([*command, "quit"], typed, b"[k]eep running")
    assert answers == [answer]
    assert ended.status == status
    assert "1 operation still running. Force quit anyway?" in ended.err
    assert "It will resume at the next launch." in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
def test_the_question_is_withdrawn_when_the_work_is_done(store: Store, state_dir: Path, command: list[str]) -> None:
    shown = threading.Event()

    def act(application: Application, asked: PendingQuit) -> QuitOutcome:
        store.quits.prompted(asked.id, now())
        shown.wait(PATIENCE_SECONDS)
        application.pause()
        return QuitOutcome.DRAINED

    # The question is typed at only once it stands, and what is typed is no answer: only the work's end can end it.
    with Application(store, state_dir, act) as application:
        assert store.jobs.claim(application.launch, now()) is not None
        threading.Timer(1.5, shown.set).start()
        ended = at_a_terminal([*command, "quit"], b"?\n", b"[k]eep running")
    assert ended.status == 0
    assert "all work in flight is finished" in ended.out
