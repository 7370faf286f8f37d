from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.integration.client.calls import connected

from exlab_wizard.client import Client, Event, NotRunningError, UnreachableError
from exlab_wizard.testing import PATIENCE_SECONDS, Lab, until

pytestmark = pytest.mark.slow


class Listener(threading.Thread):
    """Listens in a thread of its own until the application is away for good."""

    def __init__(self, client: Client, timeout_s: float) -> None:
        super().__init__(daemon=True)
        self.client, self.timeout_s = client, timeout_s
        self.heard: list[Event] = []
        self.ended_with: UnreachableError | None = None

    def run(self) -> None:
        try:
            for event in self.client.events(patience_s=self.timeout_s):
                self.heard.append(event)
        except UnreachableError as error:
            self.ended_with = error

    def kinds(self) -> set[str]:
        return {event.kind for event in self.heard}


def test_a_listener_hears_of_a_job_and_goes_on_across_a_relaunch(client: Client, running: Lab) -> None:
    listener = Listener(client, timeout_s=30.0)
    listener.start()
    until(lambda: "hello" in listener.kinds(), what="the stream to begin")
    client.enqueue(running.make_run(), "nas")
    until(
        lambda: any(event.data.get("to_state") == "verified" for event in listener.heard),
        what="the event that the job is verified",
    )
    assert len({event.id for event in listener.heard}) == len(listener.heard)
    running.kill()
    running.relaunch()
    # The events of the launch that died are gone: whoever shows something must read it again.
    until(lambda: "resync" in listener.kinds(), what="a resync of the new launch")
    client.quit()
    assert running.wait() == 0


def test_listening_ends_when_the_application_is_gone(client: Client, running: Lab) -> None:
    listener = Listener(client, timeout_s=0.5)
    listener.start()
    until(lambda: "hello" in listener.kinds(), what="the stream to begin")
    running.kill()
    listener.join(PATIENCE_SECONDS)
    assert isinstance(listener.ended_with, NotRunningError)


def test_a_quit_does_not_wait_for_an_answer_from_who_only_listens(exlab: Lab) -> None:
    exlab.configure(window_s=0.2)
    exlab.start()
    with connected(exlab) as client, client.session(kind="run", label="holds back the quit", must_open=False):
        listener = Listener(client, timeout_s=0.5)
        listener.start()
        until(lambda: "hello" in listener.kinds(), what="the stream to begin")
        assert exlab.call("quit").returncode == 0
        assert exlab.query("SELECT outcome, prompts FROM quit_requests") == [("forced", 0)]
        listener.join(PATIENCE_SECONDS)
        assert listener.ended_with is not None


@contextmanager
def held_back(exlab: Lab) -> Iterator[Client]:
    """Lend a client of an application whose quit has to ask, after a moment."""
    exlab.configure(window_s=0.2)
    exlab.start()
    with connected(exlab) as client:
        client.call("POST", "/sessions", {"kind": "run", "label": "never ends", "ttl_s": 600})
        yield client


def test_a_quit_puts_its_question_to_who_can_answer(exlab: Lab) -> None:
    with held_back(exlab) as client:
        listening = client.events(answers=True)
        client.quit()
        event = next(event for event in listening if event.kind == "question" and event.data["question"])
        assert event.data["question"] == "1 operation still running. Force quit anyway?"
        client.answer("force")
        listening.close()
    assert exlab.wait() == 0
    assert exlab.query("SELECT outcome, prompts FROM quit_requests") == [("forced", 1)]


def test_who_begins_to_listen_while_the_question_stands_gets_it(exlab: Lab) -> None:
    with held_back(exlab) as client:
        asked = client.events(answers=True)
        assert next(asked).kind == "hello"
        client.quit()
        next(event for event in asked if event.kind == "question" and event.data["question"])
        later = client.events(answers=True)
        assert [next(later).kind, next(later).kind] == ["hello", "question"]
        client.answer("force")
        later.close()
        asked.close()
    assert exlab.wait() == 0


def test_who_stops_listening_leaves_nothing_behind(client: Client, running: Lab) -> None:
    listening = client.events()
    assert next(listening).kind == "hello"
    listening.close()
    running.quit()
    assert running.wait() == 0
    with pytest.raises(NotRunningError):
        Client.connect(running.state)
