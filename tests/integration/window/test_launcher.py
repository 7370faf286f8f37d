"""The window launcher with real browsers and real processes, as the application uses it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.screen import Screen, script

from exlab_wizard.desktop.window import surfaces
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.window_request import NoWindowError, WindowShown
from exlab_wizard.tray import window_launcher
from exlab_wizard.tray.window_launcher import WindowLauncher


class Pages(ThreadingHTTPServer):
    """Pages that are heard of as soon as they are loaded, as one with an event stream is."""

    daemon_threads = True

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Page)

    def link(self, page: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/login?code=secret&page={page}"


class Page(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        if "favicon" in self.path:
            self.send_error(404)
            return
        self.server.asked.append(self.path)
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.stay()
            return
        body = b"<title>ExLab-Wizard</title><script>new EventSource('/stream')</script>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stay(self) -> None:
        """Be listened to until the browser goes away."""
        self.server.presence.enter(page=True)
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.server.presence.leave(page=True)

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002 - the form of the base class
        pass


@dataclass
class Bench:
    """A launcher on the display, and what it did."""

    launcher: WindowLauncher
    presence: Presence
    pages: Pages
    closed: threading.Event = field(default_factory=threading.Event)

    def browsers(self) -> list[psutil.Process]:
        """Return the living processes of windows."""
        found = []
        for one in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends while it is looked at, or has
                if any(word.startswith("--app=") for word in one.cmdline()):
                    found.append(one)
        return found


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], Bench]]:
    """Build launchers for environments; closed at the end."""
    made: list[Bench] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "_tryorder", None)  # it reads BROWSER once in a process, which is each test here

    def build(environ: dict[str, str]) -> Bench:
        for name in ("DISPLAY", "PATH", "BROWSER", "PYTHONPATH"):
            if name in environ:
                monkeypatch.setenv(name, environ[name])
        clock = SystemClock()
        presence = Presence(clock)
        pages = Pages(presence)
        threading.Thread(target=pages.serve_forever, args=(0.05,), daemon=True).start()
        bench = Bench(WindowLauncher(tmp_path, pages.link, presence, clock, environ=environ), presence, pages)
        bench.launcher.on_closed = bench.closed.set
        made.append(bench)
        return bench

    yield build
    for bench in made:
        bench.launcher.close()
        bench.pages.shutdown()
        bench.pages.server_close()


@pytest.fixture
def desk(make: Callable[[dict[str, str]], Bench], display: Screen) -> Bench:
    return make(dict(display.environ))


@pytest.mark.slow
def test_a_window_that_the_operator_closes_is_told_and_one_that_crashes_comes_back(
    desk: Bench, display: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces.Chromium, "timeout_s", 0.5)
    assert desk.launcher.show("/") == WindowShown("opened", "chromium")
    (first,) = desk.browsers()
    assert desk.launcher.alive
    first.send_signal(signal.SIGKILL)
    until(lambda: desk.browsers() and first not in desk.browsers(), what="the window to come back")
    until(lambda: desk.presence.pages and len(display.windows()) == 1, what="its page")
    assert not desk.closed.is_set()
    assert desk.launcher.show("/history") == WindowShown("focused", "chromium")
    until(lambda: "/login?code=secret&page=/history" in desk.pages.asked, what="the page to be loaded in it")
    until(lambda: display.active() == display.windows()[0], what="the window to have the keyboard")
    display.close_active()
    assert desk.closed.wait(PATIENCE_SECONDS)
    assert not desk.launcher.alive
    assert display.windows() == []


@pytest.mark.slow
def test_a_window_that_cannot_be_brought_to_the_front_is_opened_anew_and_stays_the_only_one(
    desk: Bench, display: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_channel = 'for one; do shift; [ "$one" = --remote-debugging-pipe ] || set -- "$@" "$one"; done'
    browser = script(
        tmp_path / "bin" / "chromium", f'{without_channel}\nexec /usr/bin/chromium --no-sandbox --disable-gpu "$@"'
    )
    monkeypatch.setattr(surfaces, "find_chromium", lambda _environ: str(browser))
    assert desk.launcher.show("/") == WindowShown("opened", "chromium")
    (first,) = desk.browsers()
    assert desk.launcher.show("/") == WindowShown("opened", "chromium")
    assert not first.is_running()
    until(lambda: len(display.windows()) == 1, what="the other window alone")
    desk.launcher.close()
    until(lambda: display.windows() == [], what="the window to close")


@pytest.mark.parametrize(("status", "tries"), [(1, 1), (0, 2)])
def test_a_chromium_that_ends_at_once_leaves_it_to_the_default_browser(
    make: Callable[[dict[str, str]], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, tries: int
) -> None:
    monkeypatch.setattr(window_launcher, "SETTLE_SECONDS", 30.0)
    seen = tmp_path / "seen"
    starts = tmp_path / "starts"
    script(tmp_path / "bin" / "chromium", f"echo >> {starts}; exit {status}")
    browser = script(tmp_path / "bin" / "mine", f'echo "OPENED $1" > {seen}.part; mv {seen}.part {seen}')
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    bench = make({"DISPLAY": ":nowhere", "PATH": path, "BROWSER": f"{browser} %s"})
    with shown_meanwhile(bench) as shown:
        until(seen.exists, what="the browser to be started")
    assert shown == [WindowShown("opened", "browser")]
    assert seen.read_text("utf-8") == f"OPENED {bench.pages.link('/')}\n"
    assert starts.read_text("utf-8") == "\n" * tries  # one that ended well may have handed over to one just ending
    assert not bench.launcher.alive  # nothing was heard of its page


def test_a_web_view_without_its_toolkit_says_what_is_missing_and_leaves_it_to_the_next(
    make: Callable[[dict[str, str]], Bench],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "webview.py").write_text("raise ImportError('no GTK, no QT')\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(surfaces, "find_chromium", lambda _environ: None)
    monkeypatch.setattr(window_launcher, "SETTLE_SECONDS", 30.0)
    caplog.set_level("INFO")
    seen = tmp_path / "seen"
    browser = script(tmp_path / "bin" / "mine", f"touch {seen}")
    environ = {"DISPLAY": ":nowhere", "BROWSER": f"{browser} %s", "PYTHONPATH": python_path(tmp_path)}
    bench = make(environ)
    reason = "webview exited at once with status 1 ImportError: no GTK, no QT"
    with shown_meanwhile(bench) as shown:
        until(lambda: reason in caplog.text, what="the reason")
        until(seen.exists, what="the browser to be started")
    assert shown == [WindowShown("opened", "browser")]


def test_a_closed_tab_is_told_when_no_page_was_heard_of_for_long_enough(
    make: Callable[[dict[str, str]], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = list[surfaces.Surface]()

    def runs(tab: surfaces.BrowserTab) -> None:
        polls.append(tab)

    monkeypatch.setattr(surfaces.BrowserTab, "timeout_s", 0.0)
    monkeypatch.setattr(surfaces.BrowserTab, "ended", runs)
    monkeypatch.setattr(window_launcher, "SETTLE_SECONDS", 0.0)
    bench = make({"BROWSER": f"{script(tmp_path / 'bin' / 'mine', 'exit 0')} %s"})
    bench.presence.enter(page=True)
    assert bench.launcher.show("/") == WindowShown("opened", "browser")
    before = len(polls)
    until(lambda: len(polls) > before + 2, what="the tab to be watched")
    assert not bench.closed.is_set()
    assert bench.launcher.alive
    bench.presence.leave(page=True)
    assert bench.closed.wait(PATIENCE_SECONDS)


def test_a_listener_that_fails_does_not_keep_the_window_from_opening_again(
    make: Callable[[dict[str, str]], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surfaces.BrowserTab, "timeout_s", 0.0)
    monkeypatch.setattr(window_launcher, "SETTLE_SECONDS", 0.0)
    bench = make({"BROWSER": f"{script(tmp_path / 'bin' / 'mine', 'exit 0')} %s"})

    def failing() -> None:
        bench.closed.set()
        msg = "nobody foresaw this"
        raise LookupError(msg)

    bench.launcher.on_closed = failing
    for _ in range(2):
        assert bench.launcher.show("/") == WindowShown("opened", "browser")
        assert bench.closed.wait(PATIENCE_SECONDS)
        bench.closed.clear()


def test_without_a_desktop_a_wish_is_refused_with_the_reason(make: Callable[[dict[str, str]], Bench]) -> None:
    bench = make({})
    with pytest.raises(NoWindowError, match="neither DISPLAY nor WAYLAND_DISPLAY"):
        bench.launcher.show("/")
    bench.launcher.open("/")  # returns, whatever comes of it
    bench.launcher.close()
    with pytest.raises(NoWindowError, match="quitting"):
        bench.launcher.show("/")


def test_no_thread_is_left_and_none_is_started_for_nothing(make: Callable[[dict[str, str]], Bench]) -> None:
    bench = make({})
    bench.launcher.start()
    assert "window" not in {thread.name for thread in threading.enumerate()}
    bench.launcher.open()
    bench.launcher.close()
    bench.launcher.close()
    assert "window" not in {thread.name for thread in threading.enumerate()}


def test_a_web_view_is_told_its_page_over_its_standard_input_and_ends_with_us(
    make: Callable[[dict[str, str]], Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The toolkit is a stand-in: the real one is built for its machine. docs/desktop.md says what was run."""
    told = tmp_path / "told"
    (tmp_path / "webview.py").write_text(
        "import threading\n"
        "done = threading.Event()\n"
        "def say(*words):\n"
        f"    open({str(told)!r}, 'a').write(' '.join(words) + '\\n')\n"
        "class Window:\n"
        "    def load_url(self, url): say('load', url)\n"
        "    def restore(self): say('restore')\n"
        "    def show(self): say('show')\n"
        "    def destroy(self): say('destroy'); done.set()\n"
        "def create_window(title, url, *, width, height): say('create', title, url); return Window()\n"
        "def start(): done.wait()\n",
        "utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(window_launcher, "SETTLE_SECONDS", 0.0)
    bench = make({"DISPLAY": ":nowhere", "PATH": os.environ["PATH"], "PYTHONPATH": python_path(tmp_path)})
    assert bench.launcher.show("/") == WindowShown("opened", "webview")

    def command_line(child: psutil.Process) -> list[str]:
        try:
            return child.cmdline()
        except psutil.ZombieProcess:  # a child of an earlier test that nobody has waited for yet
            return []

    def started() -> list[psutil.Process]:  # the system shows a command line a moment after the start
        children = psutil.Process().children()
        return [one for one in children if "exlab_wizard.desktop.window.webview" in command_line(one)]

    (process,) = until(started, what="the process")
    assert process.cmdline() == [sys.executable, "-P", "-m", "exlab_wizard.desktop.window.webview"]
    assert bench.launcher.show("/history") == WindowShown("focused", "webview")
    lines = [f"create ExLab-Wizard {bench.pages.link('/')}", f"load {bench.pages.link('/history')}", "restore", "show"]
    until(lambda: told.exists() and told.read_text("utf-8").splitlines() == lines, what="the orders to arrive")
    bench.launcher.close()
    assert told.read_text("utf-8").splitlines() == [*lines, "destroy"]
    assert not process.is_running()


@contextlib.contextmanager
def shown_meanwhile(bench: Bench) -> Iterator[list[WindowShown]]:
    """Wish to see the window while the block runs; then close, so that a page which never comes is not waited for."""
    shown: list[WindowShown] = []
    asking = threading.Thread(target=lambda: shown.append(bench.launcher.show("/")))
    asking.start()
    yield shown
    bench.launcher.close()
    asking.join(PATIENCE_SECONDS)


def python_path(first: Path) -> str:
    return f"{first}{os.pathsep}{Path(surfaces.__file__).parents[3]}"


@pytest.mark.parametrize(
    ("system", "place"),
    [
        ("win32", "Microsoft/Edge/Application/msedge.exe"),
        ("darwin", "Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    ],
)
def test_browsers_are_found_where_other_systems_keep_them(tmp_path: Path, system: str, place: str) -> None:
    program = tmp_path / place
    program.parent.mkdir(parents=True)
    environ = {"ProgramFiles": str(tmp_path), "HOME": str(tmp_path)}
    assert surfaces.find_chromium(environ, system) is None
    script(program, "exit 0")
    assert surfaces.find_chromium(environ, system) == str(program)


def test_a_browser_that_cannot_see_our_profile_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "chromium").symlink_to(script(tmp_path / "snap", "exit 0"))
    assert surfaces.find_chromium({"PATH": str(tmp_path)}) is None
