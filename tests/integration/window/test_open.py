"""`exlab-wizard open` with real processes: the application is started, its window opens, comes back, is never two."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from tests.support.accounts import NOBODY, needs_root
from tests.support.program import Program, until
from tests.support.screen import Screen, script

from exlab_wizard.process.server_json import read_server_file


def opened(program: Program, *arguments: str) -> dict[str, object]:
    done = program.call("open", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def pid_of(program: Program) -> int:
    address = read_server_file(program.state / "server.json")
    assert address is not None
    return address.pid


def window_process(program: Program) -> psutil.Process:
    """Return the browser process that the application started; its helpers are children of it."""
    (child,) = [one for one in psutil.Process(pid_of(program)).children() if one.status() != psutil.STATUS_ZOMBIE]
    return child


@pytest.mark.slow
def test_open_starts_the_application_and_a_second_one_brings_its_only_window_to_the_front(
    desk: Program, display: Screen
) -> None:
    assert opened(desk) == {"started": True, "window": "opened", "by": "chromium", "url": None}
    (window,) = until(display.windows, what="the window")
    application, browser = pid_of(desk), window_process(desk)
    assert os.getsid(application) == application  # it outlives the terminal of the command
    assert browser.cmdline()[0].endswith("chromium")
    assert (desk.state / "window").stat().st_mode & 0o777 == 0o700
    display.minimize(window)
    until(lambda: display.windows() == [], what="the window to be gone from the screen")
    assert opened(desk) == {"started": False, "window": "focused", "by": "chromium", "url": None}
    until(lambda: display.windows() == [window], what="the window to come back")
    display.minimize(window)
    again = desk.call("run", "--json")
    assert (again.returncode, json.loads(again.stdout)["window"]) == (0, "focused")
    until(lambda: display.active() == window, what="the window to have the keyboard")
    assert display.windows() == [window]
    assert window_process(desk).pid == browser.pid
    assert desk.call("quit").returncode == 0
    until(lambda: not browser.is_running() and display.windows() == [], what="the window to close with the quit")


@pytest.mark.slow
def test_the_window_ends_with_a_killed_application_and_the_next_has_its_own(desk: Program, display: Screen) -> None:
    opened(desk)
    until(display.windows, what="the window")
    browser = window_process(desk)
    os.kill(pid_of(desk), signal.SIGKILL)
    assert opened(desk)["by"] == "chromium"  # also while the old one is just ending
    until(lambda: not browser.is_running(), what="the old window to end")
    until(lambda: len(display.windows()) == 1, what="the new window alone")


@needs_root
def test_without_a_desktop_open_prints_a_link_that_is_good_once_and_for_this_account_only(program: Program) -> None:
    program.start()
    done = program.call("open", "--json")
    answer = json.loads(done.stdout)
    assert answer == {"started": False, "window": "link", "by": "nothing", "url": answer["url"]}
    url = httpx.URL(answer["url"])
    request = f"GET {url.raw_path.decode()} HTTP/1.1\\r\\nHost: 127.0.0.1:{url.port}\\r\\nConnection: close\\r\\n\\r\\n"
    talk = f"exec 3<>/dev/tcp/127.0.0.1/{url.port}; printf '{request}' >&3; cat <&3"
    stranger = subprocess.run(["bash", "-c", talk], user=NOBODY, cwd="/", capture_output=True, text=True, check=False)
    assert stranger.stdout.startswith("HTTP/1.1 403"), stranger
    with httpx.Client() as browser:
        assert browser.get(answer["url"]).status_code == 303
        assert browser.get(url.copy_with(query=None, path="/api/v1/status")).status_code == 200
    with httpx.Client() as late:
        assert late.get(answer["url"]).status_code == 401
    assert f"to uid {NOBODY}" in program.log()


def test_a_desktop_of_the_command_is_used_where_the_application_has_none(program: Program, tmp_path: Path) -> None:
    program.start()
    seen = tmp_path / "seen"
    program.environment["BROWSER"] = f"{script(tmp_path / 'bin' / 'browser', f'echo OPENED $1 > {seen}')} %s"
    assert opened(program) == {"started": False, "window": "opened", "by": "browser", "url": None}
    assert seen.read_text("utf-8").startswith("OPENED http://127.0.0.1:")


@pytest.mark.slow
def test_of_two_opens_at_once_one_starts_the_application_and_both_see_its_only_window(
    desk: Program, display: Screen
) -> None:
    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(lambda _: opened(desk), range(2)))
    assert sorted(answer["started"] for answer in answers if isinstance(answer["started"], bool)) == [False, True]
    assert {answer["by"] for answer in answers} == {"chromium"}
    until(lambda: len(display.windows()) == 1, what="the only window")
    assert desk.number("SELECT count(*) FROM launches") == 1


def test_a_page_elsewhere_is_refused_before_anything_starts(program: Program) -> None:
    for page in ("//example.org", "https://example.org", "/a b", "page", "/%2f"):
        done = program.call("open", "--page", page)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert not (program.state / "server.json").exists()


def test_an_application_that_cannot_start_is_told_in_its_own_words(program: Program) -> None:
    program.config.write_text("[sync]\nworkers = 0\n", "utf-8")
    done = program.call("open")
    assert done.returncode == 1
    assert "did not start" in done.stderr
    assert "sync.workers = 0" in done.stderr
    assert len(done.stderr.splitlines()) == 1
