"""The surfaces of the question, the terminal one on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TextIO

import pytest
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.terminal import Screen, Seat
from tests.support.virtual_quit import Asker, Faults, VirtualClock

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.quit import Blocker, DrainCount, QuitAnswer, QuitStatus, QuitTrigger
from exlab_wizard.errors import ExlabError, StoreError
from exlab_wizard.store.queue.quits import PendingQuit
from exlab_wizard.tray.quit_ports import QuitPrompt
from exlab_wizard.tray.quit_prompts import FirstAnswer, RemotePrompt, TerminalPrompt, parse_answer

HOSTILE = "run\x1b[2J\x1b[1;1H\r\nverified \x9b31m\u202e\udcff"


def standing(jobs: int = 1, label: str = "/data/run-17") -> QuitStatus:
    return QuitStatus(
        DrainCount(0, jobs), [Blocker("job", "7", label, "2026-01-01T00:00:00.000Z", 3 << 20, 25.0, 90.0)] * jobs
    )


class Terminal(Screen):
    """A pseudo-terminal whose reader and writer are in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.source = os.fdopen(os.dup(self.line), "r", encoding="utf-8")
        self.sink = os.fdopen(os.dup(self.line), "w", encoding="utf-8", errors="backslashreplace")

    async def showing(self, text: str, times: int = 1) -> None:
        await asyncio.to_thread(self.shows, text, times)

    def close(self) -> None:
        self.source.close()
        self.sink.close()
        super().close()


class Seated(TerminalPrompt):
    """A question whose reader sits in the foreground, as the pseudo-terminal of a test cannot say."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        super().__init__(source, sink)
        self.seated = True
        self.looks = 0

    def available(self) -> bool:
        self.looks += 1
        return self.seated


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


def ask(
    terminal: Terminal, user: Callable[[], Awaitable[None]], now: Callable[[], QuitStatus] = standing
) -> QuitAnswer:
    """Ask at the terminal while `user` sits at it; return the answer."""

    async def both() -> QuitAnswer:
        asking = asyncio.ensure_future(Seated(terminal.source, terminal.sink).ask(now))
        await user()
        return await asyncio.wait_for(asking, PATIENCE_SECONDS)

    return asyncio.run(both())


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("f", "force"),
        ("Force", "force"),
        (" force quit ", "force"),
        ("w", "wait"),
        ("wait", "wait"),
        ("K", "keep_running"),
        ("keep", "keep_running"),
        ("keep_running", "keep_running"),
        ("keep running", "keep_running"),
        ("", None),
        ("fine, wait", None),
        ("what?", None),
        ("forget it", None),
        ("no", None),
    ],
)
def test_only_a_clear_word_is_an_answer(line: str, answer: QuitAnswer | None) -> None:
    assert parse_answer(line) == answer


@pytest.mark.parametrize(("typed", "answer"), [("f\n", "force"), ("w\n", "wait"), ("k\n", "keep_running")])
def test_the_operator_answers_at_the_terminal(terminal: Terminal, typed: str, answer: QuitAnswer) -> None:
    async def user() -> None:
        await terminal.showing("[k]eep running")
        terminal.type(typed)

    assert ask(terminal, user) == answer
    assert "1 operation still running. Force quit anyway?" in terminal.text
    assert "/data/run-17: 25%, 3.0 MiB left to send, about 2 min left" in terminal.text
    assert "It will resume at the next launch." in terminal.text


def test_a_line_that_is_no_answer_asks_again(terminal: Terminal) -> None:
    async def user() -> None:
        await terminal.showing("[k]eep running")
        terminal.type("fine, whatever\n")
        await terminal.showing("[k]eep running", times=2)
        terminal.type("w\n")

    assert ask(terminal, user) == "wait"


def test_the_question_is_shown_anew_when_the_number_of_operations_changes(terminal: Terminal) -> None:
    left = [2]

    async def user() -> None:
        await terminal.showing("2 operations still running")
        left[0] = 1
        await terminal.showing("1 operation still running")
        terminal.type("w\n")

    assert ask(terminal, user, lambda: standing(left[0])) == "wait"


def test_what_cannot_be_counted_is_asked_about_truthfully(terminal: Terminal) -> None:
    async def user() -> None:
        await terminal.showing("Cannot tell what is still running")
        await terminal.showing("the disk is gone")
        terminal.type("w\n")

    assert ask(terminal, user, lambda: QuitStatus(None, [], "the disk is gone")) == "wait"


def test_the_name_of_a_run_cannot_move_the_cursor(terminal: Terminal) -> None:
    async def user() -> None:
        await terminal.showing("[k]eep running")
        terminal.type("w\n")

    assert ask(terminal, user, lambda: standing(label=HOSTILE)) == "wait"
    shown = terminal.text.replace("\r\n", "\n")
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert "\nverified" not in shown


def test_a_withdrawn_question_says_so(terminal: Terminal) -> None:
    async def withdraw() -> None:
        asking = asyncio.ensure_future(Seated(terminal.source, terminal.sink).ask(standing))
        await terminal.showing("[k]eep running")
        asking.cancel()
        await terminal.showing("An answer is no longer needed")
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(withdraw())


def test_a_terminal_of_another_session_is_not_available(terminal: Terminal) -> None:
    assert not TerminalPrompt(terminal.source, terminal.sink).available()


def test_a_pipe_is_no_terminal() -> None:
    ends = os.pipe()
    with os.fdopen(ends[0]) as source, os.fdopen(ends[1], "w") as sink:
        assert not TerminalPrompt(source, sink).available()
    assert not TerminalPrompt(source, sink).available()


def test_nothing_is_read_while_the_program_is_in_the_background(terminal: Terminal) -> None:
    async def asked() -> QuitAnswer:
        question = Seated(terminal.source, terminal.sink)
        question.seated = False
        asking = asyncio.ensure_future(question.ask(standing))
        terminal.type("f\n")
        await terminal.showing("f")
        looks = question.looks
        await asyncio.to_thread(until, lambda: question.looks > looks + 2)
        assert not asking.done()
        question.seated = True
        return await asyncio.wait_for(asking, PATIENCE_SECONDS)

    assert asyncio.run(asked()) == "force"


def test_only_the_foreground_of_a_terminal_is_available() -> None:
    code = (
        "from exlab_wizard.tray.quit_prompts import TerminalPrompt; print('available:', TerminalPrompt().available())"
    )
    with Seat([sys.executable, "-c", code]) as seat:
        seat.screen.shows("available: True")
    in_background = "import os\nif os.fork() == 0:\n    os.setpgid(0, 0)\n    " + code + "\nelse:\n    os.wait()"
    with Seat([sys.executable, "-c", in_background]) as seat:
        seat.screen.shows("available: False")


@dataclass
class Requests:
    """The undecided quits, as the test says."""

    quits: list[PendingQuit] = field(default_factory=list)
    error: str = ""
    reads: int = 0

    def undecided(self) -> list[PendingQuit]:
        self.reads += 1
        if self.error:
            raise StoreError(self.error)
        return list(self.quits)


def request(asker_until: str | None = None, answer: str | None = None) -> PendingQuit:
    return PendingQuit(1, force=False, trigger=QuitTrigger.CLI, asker_until=asker_until, answer=answer)


def test_the_process_that_asked_is_available_as_long_as_it_says_so() -> None:
    clock, quits = VirtualClock(), Requests()
    remote = RemotePrompt(quits.undecided, clock)
    assert not remote.available()
    quits.quits = [request()]
    assert not remote.available()
    quits.quits = [request(), request(asker_until=to_text(clock.now() + timedelta(seconds=5)))]
    assert remote.available()
    clock.seconds = 5.0
    assert not remote.available()


def test_a_database_that_cannot_be_read_is_no_surface() -> None:
    assert not RemotePrompt(Requests(error="locked").undecided, VirtualClock()).available()


def test_the_answer_of_the_process_that_asked_counts() -> None:
    quits = Requests([request()], error="locked")
    remote = RemotePrompt(quits.undecided, VirtualClock())

    async def asked() -> QuitAnswer:
        asking = asyncio.ensure_future(remote.ask(standing))
        await asyncio.to_thread(until, lambda: quits.reads > 1)
        quits.error, reads = "", quits.reads
        await asyncio.to_thread(until, lambda: quits.reads > reads + 2)
        assert not asking.done()
        quits.quits = [request(answer="keep_running")]
        return await asyncio.wait_for(asking, PATIENCE_SECONDS)

    assert asyncio.run(asked()) == "keep_running"


def surface(*answers: QuitAnswer, there: bool = True, error: Exception | None = None) -> Asker:
    return Asker(Faults(), VirtualClock(), list(answers), there=there, error=error)


def first(*surfaces: QuitPrompt) -> QuitAnswer:
    async def asked() -> QuitAnswer:
        return await asyncio.wait_for(FirstAnswer(surfaces).ask(standing), 10)

    return asyncio.run(asked())


def test_the_first_answer_counts_and_the_other_surfaces_withdraw() -> None:
    silent, away = surface(), surface("force", there=False)
    assert first(silent, surface("keep_running"), away) == "keep_running"
    assert (len(silent.asked_at), silent.withdrawn) == (1, 1)
    assert away.asked_at == []


@pytest.mark.parametrize("error", [ExlabError("no display"), OSError("hung up")])
def test_a_surface_that_fails_leaves_the_question_to_the_others(error: Exception) -> None:
    assert first(surface(error=error), surface("wait")) == "wait"


def test_when_every_surface_fails_the_question_fails() -> None:
    with pytest.raises(ExlabError, match="cannot be shown anywhere"):
        first(surface(error=ExlabError("no display")))
    with pytest.raises(ExlabError, match="cannot be shown anywhere"):
        first(surface(there=False))


def test_withdrawing_the_question_withdraws_it_everywhere() -> None:
    both = [surface(), surface()]

    async def withdraw() -> None:
        asked = asyncio.Queue[None]()
        for one in both:
            one.on_ask = lambda: asked.put_nowait(None)
        asking = asyncio.ensure_future(FirstAnswer(both).ask(standing))
        for _ in both:
            await asked.get()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(withdraw())
    assert [one.withdrawn for one in both] == [1, 1]


def test_it_is_available_if_any_surface_is() -> None:
    assert FirstAnswer([surface(there=False), surface()]).available()
    assert not FirstAnswer([surface(there=False)]).available()
