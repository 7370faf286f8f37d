"""The one `program` of all tests, and the fork server that makes its starts cheap."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.nursery import Nursery
from tests.support.preload.build import build
from tests.support.program import Program, folder_in_memory


@pytest.fixture
def kind_of_program() -> Callable[[Path], Program]:
    """Return what `program` is made by; a folder of tests may have a kind of its own."""
    return Program


@pytest.fixture
def program(
    request: pytest.FixtureRequest, tmp_path: Path, kind_of_program: Callable[[Path], Program]
) -> Iterator[Program]:
    """A program that is not started yet; what of it still lives at the end is killed.

    Its files are in memory where there is room, so that no disk makes a test slow; what is marked `on_disk` needs one.
    """
    on_disk = request.node.get_closest_marker("on_disk") is not None
    place = contextlib.nullcontext(tmp_path) if on_disk else folder_in_memory(tmp_path)
    with place as home, kind_of_program(home) as program:
        yield program


@pytest.fixture(scope="session")
def kill_shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that kills a process at one of its system calls; asleep until its variables are set."""
    return build("kill", tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory, kill_shim: Path) -> Iterator[Nursery]:
    """A fork server for launches of the real program, with the kill shim loaded."""
    with Nursery(tmp_path_factory.mktemp("nursery") / "log", preload=kill_shim) as nursery:
        yield nursery
