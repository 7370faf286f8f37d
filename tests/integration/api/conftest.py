"""The real program with its API, started once for tests that leave it as they found it, or for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.api.api import Api
from tests.support.program import Program


@pytest.fixture
def api(program: Program) -> Iterator[Api]:
    """Its API, started, with nothing to do."""
    program.start()
    with Api.of(program) as api:
        yield api


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One running program for all tests of a module."""
    with Program(tmp_path_factory.mktemp("served")) as program:
        program.start()
        yield program


@pytest.fixture
def shared(served: Program) -> Iterator[Api]:
    """The API of the module's program."""
    with Api.of(served) as api:
        yield api
