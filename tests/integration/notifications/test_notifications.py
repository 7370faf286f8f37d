"""The service that shows notifications, against a daemon on a real bus: shown, answered, withdrawn, and in trouble."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest
from desktop_notifier.backends.dbus import DBusDesktopNotifier
from tests.integration.notifications.daemon import ALL, EXPIRED, FakeDaemon
from tests.support.desktop import Bus as SessionBus
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.desktop.notifications import notifier
from exlab_wizard.desktop.notifications.messages import Notice
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.port import NotificationError, Reaction, ReactionKind
from exlab_wizard.desktop.notifications.windows_macos import Center
from exlab_wizard.domain.text.quit import CHOICES
from exlab_wizard.process.session.dbus import Bus, BusError

NOTICE = Notice("failed", "run-17 was not synced", "to nas: <b>no</b> & \\x1b", "/runs/17")
QUESTION = Notice("question", "1 operation still running. Force quit anyway?", "run-17", "/quit", CHOICES, urgent=True)


class Desk:
    """The service and what it reports."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(notifier, "START_DELAY_SECONDS", 0.0)
        self.opened: SimpleQueue[str] = SimpleQueue()
        self.heard: SimpleQueue[Reaction] = SimpleQueue()
        self.service = Notifications(self.opened.put)

    @contextmanager
    def running(self, *, reachable: bool = True) -> Iterator[Notifications]:
        self.service.start()
        try:
            if reachable:
                until(lambda: self.service.reachable, what="the daemon to be found")
            yield self.service
        finally:
            self.service.stop()

    def hears(self) -> Reaction:
        return self.heard.get(timeout=PATIENCE_SECONDS)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def test_a_notification_is_shown_with_its_buttons_and_each_says_which_was_pressed(
    desk: Desk, daemon: FakeDaemon
) -> None:
    with desk.running() as service:
        for name, _ in CHOICES:
            service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
            popup = daemon.shows("Force quit anyway?")
            assert popup.buttons == ["Force quit", "Wait", "Keep running"]
            assert (popup.urgency, popup.timeout) == (2, 0)
            daemon.press(popup, name)
            assert desk.hears() == Reaction(ReactionKind.PRESSED, name)
            assert desk.hears() == Reaction(ReactionKind.DISMISSED)
    assert desk.opened.empty()


def test_what_is_shown_again_replaces_what_stands(desk: Desk, daemon: FakeDaemon) -> None:
    with desk.running() as service:
        for _ in range(3):
            service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        assert [popup.times for popup in daemon.popups.values()] == [3]
        service.withdraw("question")
        daemon.shows_nothing()
    assert desk.heard.empty()


def test_a_press_that_is_faster_than_the_number_of_the_notification_counts(desk: Desk, daemon: FakeDaemon) -> None:
    daemon.hasty = "wait"
    with desk.running() as service:
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        assert desk.hears() == Reaction(ReactionKind.PRESSED, "wait")


def test_markup_is_escaped_only_where_the_daemon_takes_it(
    desk: Desk, bus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeDaemon(bus) as daemon, desk.running() as service:
        service.show(NOTICE)
        assert daemon.shows("run-17").body == "to nas: &lt;b&gt;no&lt;/b&gt; &amp; \\x1b"
    with FakeDaemon(bus, ("body", "actions")) as daemon, Desk(monkeypatch).running() as service:
        service.show(NOTICE)
        assert daemon.shows("run-17").body == NOTICE.body


def test_a_click_opens_the_page_of_the_notification(desk: Desk, daemon: FakeDaemon) -> None:
    with desk.running() as service:
        service.show(NOTICE, desk.heard.put)
        daemon.press(daemon.shows("run-17"), "default")
        assert desk.opened.get(timeout=PATIENCE_SECONDS) == "/runs/17"
        assert desk.hears() == Reaction(ReactionKind.CLICKED)


def test_a_daemon_without_buttons_shows_none_and_a_click_that_closes_opens_the_page(desk: Desk, bus: str) -> None:
    with FakeDaemon(bus, ("body",)) as daemon, desk.running() as service:
        assert not service.has_buttons
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        popup = daemon.shows("Force quit")
        assert popup.actions == []
        daemon.put_away(popup)
        assert desk.hears() == Reaction(ReactionKind.CLICKED)
        assert desk.opened.get(timeout=PATIENCE_SECONDS) == "/quit"


def test_putting_away_and_expiring_are_told_apart_and_open_nothing(desk: Desk, daemon: FakeDaemon) -> None:
    with desk.running() as service:
        for reason, kind in ((2, ReactionKind.DISMISSED), (EXPIRED, ReactionKind.EXPIRED), (4, ReactionKind.EXPIRED)):
            service.prompt(NOTICE, desk.heard.put).result(PATIENCE_SECONDS)
            daemon.put_away(daemon.shows("run-17"), reason)
            assert desk.hears() == Reaction(kind)
    assert desk.opened.empty()


def test_what_another_program_says_in_the_daemons_name_is_not_believed(desk: Desk, daemon: FakeDaemon) -> None:
    with desk.running() as service:
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        popup = daemon.shows("Force quit")
        liar = FakeDaemon(daemon.address)  # queued for the name, and so not its owner
        with liar:
            liar.press(popup, "force")
        daemon.press(popup, "wait")
        assert desk.hears() == Reaction(ReactionKind.PRESSED, "wait")


def test_the_question_goes_when_the_service_ends_and_what_was_not_seen_stays(desk: Desk, daemon: FakeDaemon) -> None:
    with desk.running() as service:
        service.prompt(NOTICE, desk.heard.put).result(PATIENCE_SECONDS)
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
    daemon_shows = daemon.standing()
    assert daemon_shows is not None
    assert daemon_shows.title == NOTICE.title


def test_what_was_said_before_a_daemon_came_is_shown_when_it_comes(
    desk: Desk, bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with desk.running(reachable=False) as service:
        service.show(NOTICE)
        service.show(Notice("failed", "2 runs were not synced", "", "/"))
        until(lambda: "no notification daemon" in caplog.text, what="the log to say it")
        with pytest.raises(NotificationError):
            service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        with FakeDaemon(bus) as daemon:
            daemon.shows("2 runs were not synced")
            assert len(daemon.popups) == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == len(set(said))


def test_a_daemon_that_dies_takes_its_notifications_and_the_next_one_is_used(
    desk: Desk, bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    with desk.running(reachable=False) as service:
        with FakeDaemon(bus) as daemon:
            until(lambda: service.reachable, what="the daemon to be found")
            service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
            assert daemon.standing() is not None
            daemon.die()
            assert desk.hears() == Reaction(ReactionKind.EXPIRED)
            assert not service.reachable
        with FakeDaemon(bus):
            until(lambda: service.reachable, what="the next daemon to be found")
            service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
    assert caplog.text.count("has gone") == 2


def test_a_daemon_that_never_answers_holds_up_nobody(
    desk: Desk, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "CALL_TIMEOUT_SECONDS", 1.0)
    with desk.running() as service:
        daemon.deaf = True
        asked = service.prompt(QUESTION, desk.heard.put)
        assert not asked.done()
        with pytest.raises(NotificationError, match="does not answer"):
            asked.result(PATIENCE_SECONDS)
        assert not service.reachable
        monkeypatch.setattr(notifier, "CALL_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        service.show(NOTICE)
        began = time.monotonic()
        service.stop()
        assert time.monotonic() - began < PATIENCE_SECONDS / 2, "it has waited for the daemon"


def test_a_daemon_that_did_not_answer_for_a_while_is_found_again(
    desk: Desk, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "CALL_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(notifier, "RETRY_INTERVAL_SECONDS", 0.1)
    daemon.deaf = True
    with desk.running(reachable=False) as service:
        service.show(NOTICE)
        daemon.deaf = False
        daemon.shows("run-17")
        assert service.reachable


def test_a_bus_that_takes_no_subscription_at_first_is_asked_for_it_again(
    desk: Desk, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "RETRY_INTERVAL_SECONDS", 0.1)
    subscribe, refusals = Bus.subscribe, iter([BusError("no answer")])

    async def refuse_once(bus: Bus, **rule: str) -> None:
        if (refusal := next(refusals, None)) is not None:
            raise refusal
        await subscribe(bus, **rule)

    monkeypatch.setattr(Bus, "subscribe", refuse_once)
    with desk.running() as service:
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        daemon.press(daemon.shows("Force quit"), "wait")
        assert desk.hears() == Reaction(ReactionKind.PRESSED, "wait")


@pytest.mark.parametrize("address", ["", "unix:path=/nowhere/bus", "nonsense"])
def test_without_a_bus_there_is_one_line_in_the_log_and_no_more(
    desk: Desk, address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(notifier, "RETRY_INTERVAL_SECONDS", 0.02)
    with desk.running(reachable=False) as service:
        until(lambda: "notifications are unavailable" in caplog.text, what="the log to say it")
        for _ in range(3):
            with pytest.raises(NotificationError):
                service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        assert service.alive
    assert caplog.text.count("notifications are unavailable") == 1


def test_without_the_library_there_is_one_line_in_the_log_and_no_death_to_report(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifier, "_LATE", ("exlab_wizard.no_such_module",))
    with desk.running(reachable=False) as service:
        until(lambda: "no_such_module" in caplog.text, what="the log to say it")
        service.show(NOTICE)
        assert service.alive
        assert not service.reachable
    assert len(caplog.records) == 1


def test_a_bus_that_goes_away_takes_the_daemon_with_it(
    desk: Desk, session: SessionBus, caplog: pytest.LogCaptureFixture
) -> None:
    with FakeDaemon(session.address), desk.running() as service:
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        session.end()
        assert desk.hears() == Reaction(ReactionKind.EXPIRED)
        assert not service.reachable
    assert "session bus has gone" in caplog.text


def test_the_bus_of_the_session_is_found_at_its_usual_place(
    desk: Desk, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    where = daemon.address.removeprefix("unix:path=").partition(",")[0]
    (tmp_path / "bus").symlink_to(where)
    with desk.running() as service:
        service.show(NOTICE)
        daemon.shows("run-17")


def test_stopping_before_the_start_and_twice_is_harmless(desk: Desk) -> None:
    desk.service.stop()
    with desk.running(reachable=False):
        pass
    desk.service.stop()
    desk.service.show(NOTICE)


class CenterOfLinux(Center):
    """Lets go of the bus, which the library itself never does; the systems that it is for have none."""

    async def close(self) -> None:
        backend = self._center._backend  # noqa: SLF001 - it has no way to be closed
        assert isinstance(backend, DBusDesktopNotifier)
        backend.bus.disconnect()


@pytest.mark.parametrize("capabilities", [ALL, ("body",)])
def test_the_way_of_the_other_systems_shows_answers_and_withdraws(
    bus: str, capabilities: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library speaks to the same daemon on Linux, which is as far as it can be run here."""
    desk = Desk(monkeypatch)
    desk.service = Notifications(desk.opened.put, CenterOfLinux)
    with FakeDaemon(bus, capabilities) as daemon, desk.running() as service:
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        popup = daemon.shows("Force quit anyway?")
        assert popup.buttons == (["Force quit", "Wait", "Keep running"] if "actions" in capabilities else [])
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        assert not popup.standing
        popup = daemon.shows("Force quit anyway?")
        if "actions" in capabilities:
            daemon.press(popup, "keep_running")
            assert desk.hears() == Reaction(ReactionKind.PRESSED, "keep_running")
        else:
            daemon.put_away(popup)
            assert desk.hears() == Reaction(ReactionKind.CLICKED)
        service.prompt(QUESTION, desk.heard.put).result(PATIENCE_SECONDS)
        service.withdraw("question")
        daemon.shows_nothing()
