"""The question as a notification, by a daemon on a real bus: it stands until it is answered, and in one place only."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Final

import pytest
from tests.integration.notifications.daemon import EXPIRED, FakeDaemon
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.virtual_quit import Asker, Faults, VirtualClock

from exlab_wizard.desktop.notifications import notifier
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.domain.quit import Blocker, DrainCount, QuitAnswer, QuitStatus
from exlab_wizard.domain.text.quit import CHOICES
from exlab_wizard.errors import ExlabError
from exlab_wizard.tray.quit_notification import UPDATE_INTERVAL_SECONDS, NotificationPrompt
from exlab_wizard.tray.quit_ports import QuitPrompt
from exlab_wizard.tray.quit_prompts import FirstAnswer

AGAIN_SECONDS: Final = 30.0
ASKED: Final = "Force quit anyway?"


def about(*percents: float) -> QuitStatus:
    blockers = [Blocker("job", str(n), f"/runs/run-{n}", "", 1 << 20, far, 4.0) for n, far in enumerate(percents, 1)]
    return QuitStatus(DrainCount(0, len(blockers)), blockers)


class Quit:
    """A quit in a thread of its own, whose question can be put; `clock` moves only by the test."""

    def __init__(self, service: Notifications) -> None:
        self.clock, self.quiet, self.now = VirtualClock(), False, about(41.0)
        self.notified = NotificationPrompt(service, lambda: self.quiet, self.clock, AGAIN_SECONDS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def asks(self, *others: QuitPrompt) -> Future[QuitAnswer]:
        """Put the question on the notification and on `others`; cancelling the result withdraws it."""
        question = FirstAnswer([self.notified, *others])
        return asyncio.run_coroutine_threadsafe(question.ask(lambda: self.now), self._loop)

    def end(self) -> None:
        asyncio.run_coroutine_threadsafe(self._withdraw(), self._loop).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    async def _withdraw(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def opened() -> SimpleQueue[str]:
    return SimpleQueue()


@pytest.fixture
def service(bus: str, opened: SimpleQueue[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Notifications]:
    assert bus
    monkeypatch.setattr(notifier, "START_DELAY_SECONDS", 0.0)
    service = Notifications(opened.put)
    service.start()
    yield service
    service.stop()


@pytest.fixture
def quitting(service: Notifications) -> Iterator[Quit]:
    quitting = Quit(service)
    yield quitting
    quitting.end()


def reached(quitting: Quit, daemon: FakeDaemon) -> Quit:
    until(quitting.notified.available, what=f"the daemon to be found: {daemon}")
    return quitting


@pytest.mark.parametrize("button", [name for name, _ in CHOICES])
def test_pressing_a_button_answers_and_takes_the_question_away(
    quitting: Quit, daemon: FakeDaemon, button: QuitAnswer
) -> None:
    answer = reached(quitting, daemon).asks()
    popup = daemon.shows(ASKED)
    assert "run-1: 41%, 1.0 MiB left to send, about 4 s left" in popup.body
    daemon.press(popup, button)
    assert answer.result(PATIENCE_SECONDS) == button
    daemon.shows_nothing()


def test_a_question_that_is_over_is_withdrawn(quitting: Quit, daemon: FakeDaemon) -> None:
    answer = reached(quitting, daemon).asks()
    daemon.shows(ASKED)
    answer.cancel()
    daemon.shows_nothing()


def test_an_answer_elsewhere_withdraws_the_notification(quitting: Quit, daemon: FakeDaemon) -> None:
    elsewhere = Asker(Faults(), quitting.clock, ["wait"], there=False)
    answer = reached(quitting, daemon).asks(elsewhere)
    daemon.shows(ASKED)
    elsewhere.there = True  # somebody opens the window while the notification stands, and answers there
    assert answer.result(PATIENCE_SECONDS) == "wait"
    daemon.shows_nothing()


def test_an_answer_on_the_notification_withdraws_the_question_elsewhere(quitting: Quit, daemon: FakeDaemon) -> None:
    elsewhere = Asker(Faults(), quitting.clock)
    answer = reached(quitting, daemon).asks(elsewhere)
    daemon.press(daemon.shows(ASKED), "force")
    assert answer.result(PATIENCE_SECONDS) == "force"
    until(lambda: elsewhere.withdrawn == 1)


def test_a_daemon_that_comes_while_the_question_stands_elsewhere_shows_it_too(quitting: Quit, bus: str) -> None:
    elsewhere = Asker(Faults(), quitting.clock)
    answer = quitting.asks(elsewhere)
    until(lambda: elsewhere.asked_at)
    with FakeDaemon(bus) as daemon:
        daemon.press(daemon.shows(ASKED), "keep_running")
        assert answer.result(PATIENCE_SECONDS) == "keep_running"


def test_it_is_brought_up_to_date_in_its_place_and_only_when_it_says_something_else(
    quitting: Quit, daemon: FakeDaemon
) -> None:
    answer = reached(quitting, daemon).asks()
    popup = daemon.shows(ASKED)
    quitting.clock.seconds += UPDATE_INTERVAL_SECONDS
    quitting.now = about(44.0)  # not worth a new one
    quitting.now = about(44.0, 10.0)
    until(lambda: "run-2" in daemon.shows("2 operations").body)
    quitting.now = about(50.0, 10.0)  # would be, in some seconds
    quitting.now = about(50.0)
    until(lambda: "run-1: 50%" in daemon.shows("1 operation").body)
    quitting.now = about(60.0)
    quitting.clock.seconds += UPDATE_INTERVAL_SECONDS
    until(lambda: "run-1: 60%" in daemon.shows("1 operation").body)
    assert {popup.number} == set(daemon.popups)
    assert daemon.shows(ASKED).times == 4
    answer.cancel()


@pytest.mark.parametrize("reason", [2, EXPIRED])
def test_one_that_was_put_away_is_no_answer_and_comes_back(quitting: Quit, daemon: FakeDaemon, reason: int) -> None:
    answer = reached(quitting, daemon).asks()
    daemon.put_away(daemon.shows(ASKED), reason)
    quitting.now = about(41.0, 1.0)
    daemon.put_away(daemon.shows("2 operations"), reason)  # came back, since it says something else
    until(lambda: daemon.standing() is None)

    def back() -> bool:
        quitting.clock.seconds += 1.0
        return daemon.standing("2 operations") is not None

    before = quitting.clock.seconds
    until(back)
    assert quitting.clock.seconds - before >= AGAIN_SECONDS - 1.0
    assert not answer.done()
    answer.cancel()


def test_while_the_window_is_looked_at_it_is_not_shown_and_after_that_it_is(quitting: Quit, daemon: FakeDaemon) -> None:
    answer = reached(quitting, daemon).asks()
    daemon.shows(ASKED)
    quitting.quiet = True
    daemon.shows_nothing()
    assert not quitting.notified.available()
    quitting.quiet = False
    daemon.press(daemon.shows(ASKED), "wait")
    assert answer.result(PATIENCE_SECONDS) == "wait"


def test_where_nothing_can_be_pressed_the_click_opens_the_window_with_the_question(
    quitting: Quit, bus: str, opened: SimpleQueue[str]
) -> None:
    with FakeDaemon(bus, ("body",)) as daemon:
        answer = reached(quitting, daemon).asks()
        daemon.put_away(daemon.shows(ASKED))
        assert opened.get(timeout=PATIENCE_SECONDS) == "/quit"
        assert not answer.done()
        answer.cancel()


def test_a_daemon_that_dies_leaves_the_question_to_the_others(quitting: Quit, bus: str) -> None:
    elsewhere = Asker(Faults(), quitting.clock)
    with FakeDaemon(bus) as daemon:
        answer = reached(quitting, daemon).asks(elsewhere)
        daemon.shows(ASKED)
    until(lambda: not quitting.notified.available())
    assert not answer.done()
    answer.cancel()


def test_a_daemon_that_dies_as_the_only_one_ends_the_question_with_an_error(quitting: Quit, bus: str) -> None:
    with FakeDaemon(bus) as daemon:
        answer = reached(quitting, daemon).asks()
        daemon.shows(ASKED)
    with pytest.raises(ExlabError, match="cannot be shown anywhere"):
        answer.result(PATIENCE_SECONDS)


def test_a_daemon_that_never_answers_ends_the_question_with_an_error(
    quitting: Quit, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "CALL_TIMEOUT_SECONDS", 0.2)
    reached(quitting, daemon)
    daemon.deaf = True
    with pytest.raises(ExlabError, match="cannot be shown anywhere"):
        quitting.asks().result(PATIENCE_SECONDS)
    assert not quitting.notified.available()


def test_without_a_daemon_it_is_not_available(quitting: Quit) -> None:
    assert not quitting.notified.available()
