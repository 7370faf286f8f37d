"""Daemons that desktops really have: the question on them, pressed with a real mouse, clicked, and withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from tests.integration.notifications.desktops import dunst, xfce
from tests.support.desktop import display
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.desktop.notifications import notifier
from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.port import Reaction, ReactionKind
from exlab_wizard.domain.text.quit import CHOICES

pytestmark = pytest.mark.slow
QUESTION = Notice("question", "1 operation still running. Force quit anyway?", "<u>run</u> & 1", "/quit", CHOICES, True)  # noqa: FBT003 - the question is urgent


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    with display(900, 400) as name:
        yield name


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


def test_each_button_is_pressed_with_the_mouse_on_the_daemon_of_xfce(
    service: Notifications, bus: str, screen: str, tmp_path: Path
) -> None:
    with xfce(tmp_path / "home", screen, bus) as desktop:
        until(lambda: service.reachable, what="the daemon to be found")
        assert service.has_buttons
        for place, (name, _) in enumerate(CHOICES):
            heard: SimpleQueue[Reaction] = SimpleQueue()
            service.prompt(QUESTION, heard.put).result(PATIENCE_SECONDS)
            desktop.click(place, len(CHOICES) + 1)
            assert heard.get(timeout=PATIENCE_SECONDS) == Reaction(ReactionKind.PRESSED, name)
            service.withdraw(QUESTION.key)


def test_dunst_shows_the_question_opens_the_window_at_a_click_and_withdraws_it(
    service: Notifications, bus: str, screen: str, tmp_path: Path, opened: SimpleQueue[str]
) -> None:
    heard: SimpleQueue[Reaction] = SimpleQueue()
    with dunst(tmp_path / "home", screen, bus) as desktop:
        until(lambda: service.reachable, what="the daemon to be found")
        for _ in range(2):
            service.prompt(QUESTION, heard.put).result(PATIENCE_SECONDS)
        assert desktop.count() == (1, 0)
        desktop.click()
        assert opened.get(timeout=PATIENCE_SECONDS) == "/quit"
        service.prompt(QUESTION, heard.put).result(PATIENCE_SECONDS)
        service.withdraw(QUESTION.key)
        until(lambda: desktop.count()[0] == 0, what="the notification to be withdrawn")
        assert desktop.last_closed() == {
            "summary": QUESTION.title,
            "body": "&lt;u&gt;run&lt;/u&gt; &amp; 1",
            "appname": "ExLab-Wizard",
        }
