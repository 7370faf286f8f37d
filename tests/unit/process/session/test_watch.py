"""What is held back follows what is in flight, by changes only, and what is unknown changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.virtual_quit import Faults, Predicate

from exlab_wizard.domain.quit import DrainCount
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.session import watch
from exlab_wizard.process.session.port import NOTHING, Inhibited, SessionCallbacks, SessionHost
from exlab_wizard.process.session.watch import SessionWatch, decide
from exlab_wizard.transfer.copy.bandwidth import Throughput


@pytest.mark.parametrize(
    ("count", "moving", "before", "after"),
    [
        (DrainCount(0, 0), True, Inhibited(shutdown=True, sleep=True), NOTHING),
        (DrainCount(1, 0), True, NOTHING, Inhibited(shutdown=True)),
        (DrainCount(0, 1), True, NOTHING, Inhibited(shutdown=True, sleep=True)),
        (DrainCount(0, 1), False, Inhibited(shutdown=True, sleep=True), Inhibited(shutdown=True)),
        (None, False, Inhibited(shutdown=True, sleep=True), Inhibited(shutdown=True, sleep=True)),
        (None, True, NOTHING, NOTHING),
    ],
)
def test_what_is_held_back(count: DrainCount | None, moving: bool, before: Inhibited, after: Inhibited) -> None:  # noqa: FBT001 - a column of the table
    assert decide(count, moving=moving, before=before) == after


class Ear(SessionHost):
    """A system that notes what it is asked to hold back, or tells nothing at all."""

    needed_when_idle = False

    def __init__(self) -> None:
        self.held: SimpleQueue[Inhibited] = SimpleQueue()
        self.over = threading.Event()
        self.runs = 0
        self.deaf = False

    def run(self, callbacks: SessionCallbacks) -> None:
        callbacks.woke()
        self.runs += 1
        if self.deaf:
            raise ExlabError("nobody tells")
        self.over.wait(PATIENCE_SECONDS)

    def inhibit(self, held: Inhibited) -> None:
        self.held.put(held)

    def stop(self) -> None:
        self.over.set()


class Scene:
    """The service, its ear, and what is in flight."""

    def __init__(self) -> None:
        self.ear, self.throughput, self.predicate = Ear(), Throughput(), Predicate(Faults())
        self.changes = Changes()
        self.looks = 0
        self.released = threading.Event()
        self.predicate.hang = self._looked
        callbacks = SessionCallbacks(lambda: None, lambda: None)
        self.service = SessionWatch(
            self.ear,
            callbacks,
            count=self.predicate.count,
            moving=lambda: self.throughput.last_minute() > 0,
            changes=self.changes,
            release=self.released.set,
        )

    def _looked(self) -> None:
        self.looks += 1


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.service.stop()
    assert {"session", "session-host"}.isdisjoint(thread.name for thread in threading.enumerate())


def test_nothing_is_read_and_nobody_listened_to_while_nothing_changes(scene: Scene) -> None:
    scene.service.start()
    until(lambda: scene.looks == 1, what="the first look")
    for number in range(2, 5):
        scene.changes.notify()
        until(lambda number=number: scene.looks == number, what="a look at the change")  # type: ignore[misc]
    assert (scene.ear.held.empty(), scene.ear.runs) == (True, 0)


def test_what_cannot_be_read_keeps_what_is_held(scene: Scene) -> None:
    scene.service.start()
    scene.throughput.add(1)
    scene.predicate.jobs = 1
    scene.changes.notify()
    assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == Inhibited(shutdown=True, sleep=True)
    scene.predicate.unreadable = "the database hangs"
    looks = scene.looks
    scene.changes.notify()
    until(lambda: scene.looks > looks, what="the next look")
    scene.predicate.unreadable, scene.predicate.jobs = "", 0
    scene.changes.notify()
    assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == NOTHING
    assert scene.ear.runs == 1


def test_sleep_is_not_held_off_for_bytes_that_stand_still(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that hangs tells nobody that nothing moves any more."""
    monkeypatch.setattr(watch, "MOVING_POLL_INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(scene.throughput, "last_minute", [1, 1, 0].pop)
    scene.predicate.jobs = 1
    scene.service.start()
    assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == Inhibited(shutdown=True)
    scene.changes.notify()
    assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == Inhibited(shutdown=True, sleep=True)


def test_a_system_that_tells_nothing_is_tried_again_and_said_once(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RETRY_INTERVAL_SECONDS", 0.0)
    caplog.set_level("INFO")
    scene.ear.deaf = True
    scene.service.start()
    for number in (1, 2, 3):
        scene.predicate.jobs = 1
        scene.changes.notify()
        until(lambda number=number: scene.ear.runs == number, what="it to be tried")  # type: ignore[misc]
        assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == Inhibited(shutdown=True)
        scene.predicate.jobs = 0
        scene.changes.notify()
        assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == NOTHING
        until(lambda: "session-host" not in [thread.name for thread in threading.enumerate()], what="its thread to end")
    assert scene.service.alive
    assert caplog.text.count("does not announce the end of the session") == 1


def test_a_system_that_told_nothing_is_left_alone_for_a_while(scene: Scene) -> None:
    scene.ear.deaf = True
    scene.service.start()
    for _ in range(3):
        scene.predicate.jobs = 1
        scene.changes.notify()
        assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == Inhibited(shutdown=True)
        until(lambda: "session-host" not in [thread.name for thread in threading.enumerate()], what="its thread to end")
        scene.predicate.jobs = 0
        scene.changes.notify()
        assert scene.ear.held.get(timeout=PATIENCE_SECONDS) == NOTHING
    assert scene.ear.runs == 1


def test_a_system_that_went_away_is_asked_again_while_the_same_is_in_flight(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RETRY_INTERVAL_SECONDS", 0.0)
    scene.ear.deaf = True
    scene.predicate.jobs = 1
    scene.service.start()
    for number in (1, 2, 3):
        until(lambda number=number: scene.ear.runs >= number, what="it to be tried")  # type: ignore[misc]
        until(lambda: "session-host" not in [thread.name for thread in threading.enumerate()], what="its thread to end")
        scene.changes.notify()
    assert scene.ear.held.qsize() == 1
