from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.support.forked import Forked
from tests.support.nursery import Nursery
from tests.support.program import Program


@pytest.fixture
def kind_of_program(request: pytest.FixtureRequest, nursery: Nursery) -> Callable[[Path], Program]:
    """A program of forks, unless `anew`: a start costs milliseconds instead of a second of imports."""
    return Program if request.node.get_closest_marker("anew") else partial(Forked, nursery=nursery)
