from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.client.calls import connected

from exlab_wizard.client import Client
from exlab_wizard.testing import Lab


@pytest.fixture
def running(exlab: Lab) -> Lab:
    """The real application, with its server answering."""
    exlab.start()
    connected(exlab).close()
    return exlab


@pytest.fixture
def client(running: Lab) -> Iterator[Client]:
    with connected(running) as client:
        yield client
