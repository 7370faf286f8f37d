from __future__ import annotations

import pytest
from tests.support.virtual_quit import VirtualQuit


@pytest.fixture
def virtual() -> VirtualQuit:
    """A quit in virtual time."""
    return VirtualQuit()
