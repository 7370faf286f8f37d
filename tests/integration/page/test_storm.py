"""Thousands of events a minute cost the page no more than a few: a short cut of `make page-soak`."""

from __future__ import annotations

import time

import pytest
from tests.integration.page.conftest import Visit
from tests.integration.page.storm import Watched, storm
from tests.integration.page.visitor import expect
from tests.support.program import Program

pytestmark = pytest.mark.slow
SECONDS = 5.0


@pytest.mark.sampled(cases=0)
def test_events_without_number_are_looked_at_twice_a_second_and_leave_nothing_behind(
    program: Program, visit: Visit
) -> None:
    program.start()
    visitor = visit(program)
    expect(visitor.page.locator("html[data-script=on]")).to_be_attached()
    watched = Watched(visitor)
    with storm(program):
        watched.wait(2)  # time: the page settles
        before, looks, began = watched.weight(), watched.looks, time.monotonic()
        watched.wait(SECONDS)  # time: the page's life is what is measured
        after, took = watched.weight(), time.monotonic() - began
    assert program.number("SELECT count(*) FROM job_events") > 100
    assert 2 <= watched.looks - looks <= 2 * took + 2
    assert after.nodes <= 1.2 * before.nodes
    assert after.listeners <= before.listeners
    assert after.heap <= 1.3 * before.heap
