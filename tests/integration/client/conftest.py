from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.client.calls import connected

from exlab_wizard.client import Client
from exlab_wizard.testing import Lab


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The real application, with its server answering, for tests that leave it running."""
    with Lab(tmp_path_factory.mktemp("client")) as lab:
        lab.start()
        connected(lab).close()
        yield lab


@pytest.fixture
def running(exlab: Lab) -> Lab:
    """The real application, with its server answering, for one test that may end it."""
    exlab.start()
    connected(exlab).close()
    return exlab


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of the application that the test has."""
    lab = request.getfixturevalue("application" if "application" in request.fixturenames else "running")
    assert isinstance(lab, Lab)
    with connected(lab) as client:
        yield client
