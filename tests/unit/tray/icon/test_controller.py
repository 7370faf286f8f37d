"""What becomes of an icon that fails, and of a window in its place: real threads, icons that do as they are told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from tests.support.program import PATIENCE_SECONDS, until

from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase, QuitEvent, QuitTrigger
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.window_request import WindowShown
from exlab_wizard.tray.icon import controller as desktop_module
from exlab_wizard.tray.icon.controller import Icon, IconActions, IconController, Mode
from exlab_wizard.tray.icon.host import NoTrayError, TrayHost
from exlab_wizard.tray.icon.menu import Act
from exlab_wizard.tray.quit_ports import NoWindow


class Place(TrayHost):
    """A tray that comes when the test says so."""

    def __init__(self, trouble: str = "") -> None:
        self.trouble = trouble
        self.come = threading.Event()
        self.closed = False

    async def watch(self) -> None:
        if self.trouble:
            raise NoTrayError(self.trouble)

    async def available(self) -> None:
        while not self.come.is_set():  # noqa: ASYNC110 - set by the thread of the test, which knows no loop
            await asyncio.sleep(0.01)  # time: between two looks

    def close(self) -> None:
        self.closed = True


class Pretended(Icon):
    """An icon whose loop ends as the test wants."""

    def __init__(self, bench: Bench, act: Callable[[Act], None], lost: Callable[[], None]) -> None:
        self.choose, self.lost = act, lost
        self._bench = bench
        self._over = threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.current_thread()

    def run(self) -> None:
        self._over.wait(PATIENCE_SECONDS)
        if self.error is not None:
            raise self.error

    def show(self, overview: HeadlineState) -> None:
        self._bench.shown.append(overview)

    def stop(self) -> None:
        self._over.set()

    def die(self, error: BaseException | None = None) -> None:
        self.error = error
        self._over.set()


@dataclass
class Bench(NoWindow):
    """One desktop, and everything that it asks for."""

    place: Place = field(default_factory=Place)
    overview: HeadlineState = field(default_factory=HeadlineState)
    looked: list[HeadlineState] = field(default_factory=list)
    shown: list[HeadlineState] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    icons: list[Pretended] = field(default_factory=list)
    refusal: BaseException | None = None
    changes: Changes = field(default_factory=Changes)

    def desk(self, *, window: bool) -> IconController:
        self.desktop = IconController(
            read_state=self.look,
            changes=self.changes,
            window=self,
            actions=IconActions(
                quit_wanted=self.asked.append,
                answer=self.asked.append,
                session_ended=partial(self.asked.append, "session ended"),
                pause=partial(self.asked.append, ("paused", True)),
                resume=partial(self.asked.append, ("paused", False)),
            ),
            host=lambda: self.place,
            make_icon=self.make,
            window_at_start=window,
        )
        self.desktop.start()
        return self.desktop

    def make(self, _overview: HeadlineState, act: Callable[[Act], None], lost: Callable[[], None]) -> Icon:
        if self.refusal is not None:
            raise self.refusal
        self.icons.append(Pretended(self, act, lost))
        return self.icons[-1]

    def with_icon(self, *, window: bool = False) -> Pretended:
        self.place.come.set()
        self.desk(window=window)
        self.becomes(Mode.TRAY)
        return self.icons[-1]

    def becomes(self, mode: Mode) -> None:
        until(lambda: self.desktop.mode is mode, what=f"the mode to be {mode}")

    def was_asked(self, last: object) -> bool:
        return bool(self.asked) and self.asked[-1] == last

    def now(self, overview: HeadlineState) -> None:
        self.overview = overview
        self.changes.notify()

    def look(self) -> HeadlineState:
        self.looked.append(self.overview)
        return self.overview

    def open(self, page: str = "/") -> None:
        self.asked.append(page)

    def show(self, page: str) -> WindowShown:
        raise AssertionError(page)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(desktop_module, "HOST_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(desktop_module, "UPDATE_INTERVAL_SECONDS", 0.02)
    bench = Bench()
    yield bench
    bench.desktop.stop()
    for thread in threading.enumerate():
        assert thread.name not in ("desktop", "icon"), "a thread of the desktop outlived its stop"
    assert bench.place.closed
    assert bench.changes._subscribers == ()  # noqa: SLF001 - nothing of it may be called after its stop


@pytest.mark.parametrize("error", [None, RuntimeError("the loop\nfailed"), SystemExit(1)])
def test_an_icon_that_dies_is_missed_and_the_window_takes_its_place(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: BaseException | None
) -> None:
    caplog.set_level("INFO")
    icon = bench.with_icon(window=True)
    assert bench.desktop.alive
    bench.desktop.window_closed()
    assert bench.asked == []  # with an icon the window is only a window
    icon.die(error)
    bench.becomes(Mode.WINDOW)
    assert not bench.desktop.alive
    until(lambda: bench.asked == ["/"], what="the window to open")
    assert "no tray icon: the icon crashed; the window takes its place" in caplog.text
    bench.desktop.window_closed()
    assert bench.asked == ["/", QuitTrigger.WINDOW]


def test_an_icon_that_cannot_be_made_is_no_death(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bench.place.come.set()
    bench.refusal = ImportError("no module\nnamed gi")
    bench.desk(window=False)
    bench.becomes(Mode.BACKGROUND)
    assert bench.desktop.alive
    said = "no icon can be shown here: no module named gi; docs/desktop.md says what to install; the window opens with:"
    assert f"{said} exlab-wizard open" in caplog.text
    bench.desktop.window_closed()
    assert bench.asked == []  # whoever wanted no window did not ask for the end with it


def test_a_window_that_is_closed_before_it_is_known_that_no_icon_comes_quits_then(bench: Bench) -> None:
    bench.place.trouble = "no bus"
    closed = threading.Event()

    async def take_time() -> None:
        await asyncio.to_thread(closed.wait, PATIENCE_SECONDS)

    bench.place.watch = take_time  # type: ignore[method-assign]  # a bus that answers later
    bench.desk(window=True)
    bench.desktop.window_closed()
    closed.set()
    until(lambda: bench.asked == [QuitTrigger.WINDOW], what="the quit")


def test_a_window_that_is_closed_in_the_moment_of_that_decision_quits_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def note_late(desktop: IconController, name: str, value: object) -> None:
        if name == "_was_closed" and value:
            bench.becomes(Mode.WINDOW)
        object.__setattr__(desktop, name, value)

    monkeypatch.setattr(desktop_module, "HOST_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(IconController, "__setattr__", note_late)
    bench.desk(window=True)
    bench.desktop.window_closed()
    until(lambda: bench.was_asked(QuitTrigger.WINDOW), what="the quit")


def test_a_quit_that_is_taken_back_opens_the_window_again_where_there_is_no_icon(bench: Bench) -> None:
    bench.place.trouble = "no bus"
    bench.desk(window=True)
    bench.becomes(Mode.WINDOW)
    bench.now(HeadlineState(phase=Phase.ASKING))
    until(lambda: bench.looked[-1].phase is Phase.ASKING, what="the quit to be seen")
    assert bench.asked == []
    bench.now(HeadlineState())
    until(lambda: bench.asked == ["/"], what="the window to open again")


def test_what_is_chosen_is_handed_on(bench: Bench) -> None:
    icon = bench.with_icon()
    for act in (Act.QUIT, Act.KEEP_RUNNING):
        icon.choose(act)
    assert bench.asked == [QuitTrigger.TRAY, QuitEvent.KEEP_RUNNING]
    for act, wanted in ((Act.OPEN, "/"), (Act.PAUSE, ("paused", True)), (Act.RESUME, ("paused", False))):
        icon.choose(act)
        until(partial(bench.was_asked, wanted), what=str(wanted))


def test_only_what_differs_is_shown_however_often_something_changes(bench: Bench) -> None:
    bench.with_icon()
    for _ in range(50):
        bench.now(HeadlineState())
    bench.now(HeadlineState(in_flight=1))
    until(lambda: bench.shown, what="the icon to change")
    for _ in range(50):
        bench.changes.notify()
    bench.now(HeadlineState(failed=1))
    until(lambda: len(bench.shown) > 1, what="the icon to change again")
    assert bench.shown == [HeadlineState(in_flight=1), HeadlineState(failed=1)]


def test_a_display_that_goes_away_is_the_end_of_the_session(bench: Bench) -> None:
    icon = bench.with_icon()
    icon.lost()
    assert bench.asked == ["session ended"]
    # In earnest this thread is lost until the process ends; nobody waits for it.
    icon.stop()
    icon.thread.join(PATIENCE_SECONDS)


def test_where_the_system_wants_the_icon_in_the_main_thread_it_gets_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop_module, "ICON_IN_MAIN", True)
    bench.place.come.set()

    def beside() -> None:
        until(lambda: bench.icons, what="the icon")
        bench.becomes(Mode.TRAY)
        bench.desktop.stop()

    bench.desk(window=False)
    application = threading.Thread(target=beside)
    application.start()
    bench.desktop.serve_main()  # returns after the stop
    application.join(PATIENCE_SECONDS)
    assert bench.icons[0].thread is threading.main_thread()
