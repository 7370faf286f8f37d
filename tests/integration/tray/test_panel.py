"""A real panel, a real window manager, a real click: what an operator does to quit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.tray.xfce import Xfce, xfce_panel
from tests.support.desktop import OnDesktop
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.screen import Screen, screen
from tests.support.slow_copy import QuitRow, last_end, quits

from exlab_wizard.domain.headline import Condition

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Screen]:
    with screen(tmp_path_factory.mktemp("screen")) as shown:
        yield shown


@pytest.fixture
def xfce(monitor: Screen, tmp_path: Path) -> Iterator[Xfce]:
    with xfce_panel(tmp_path, monitor) as panel:
        yield panel


@pytest.fixture
def program(xfce: Xfce, tmp_path: Path) -> Iterator[OnDesktop]:
    with OnDesktop(tmp_path) as program:
        program.environment |= xfce.environ | {"PYTHONPATH": program.environment["PYTHONPATH"]}
        yield program


def test_quit_is_clicked_in_the_panel_and_the_icon_goes(program: OnDesktop, xfce: Xfce) -> None:
    program.start()
    program.says("the icon is in the tray")
    _, _, right, bottom = xfce.open_menu(Condition.IDLE)
    xfce.point(right - 30, bottom - 30)
    xfce.click(right - 30, bottom - 14)
    assert program.wait(PATIENCE_SECONDS) == 0
    until(lambda: xfce.icon(Condition.IDLE) is None, what="the icon to go")
    assert quits(program) == [QuitRow("tray", "drained", 0, 0, 0, 0, decided=True)]
    assert last_end(program) == "drained"


def test_where_no_panel_shows_icons_the_window_opens_and_closing_it_quits(
    program: OnDesktop, monitor: Screen, xfce: Xfce
) -> None:
    del program.environment["DBUS_SESSION_BUS_ADDRESS"]
    assert xfce.icon(Condition.IDLE) is None
    program.options = ()
    program.start()
    program.says("the window takes its place, and closing it quits")
    program.says("the window is open (chromium")
    (window,) = until(monitor.windows, what="the window")
    until(lambda: monitor.active() == window, what="the window to have the keyboard")
    monitor.close_active()
    assert program.wait(PATIENCE_SECONDS) == 0
    assert quits(program) == [QuitRow("window", "drained", 0, 0, 0, 0, decided=True)]
