"""Safe mode: when a launch begins in it, and what ends it. The real program is in `test_crash_loop`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.bench import START, Bench

from exlab_wizard.domain.clock import to_text
from exlab_wizard.process.safe_mode import SAFE_MODE_SECONDS, UNHEALTHY_LAUNCHES, SafeMode
from exlab_wizard.store.queue.launches import Recovery, ThisProcess

PROCESS = ThisProcess("lab-1", "boot-1", 2, to_text(START), "0")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench whose first launch is about to be found dead."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def launched_again(bench: Bench, times: int) -> tuple[SafeMode, Recovery]:
    """Launch `times` more often; each launch finds that the one before it has died."""
    recovery = [bench.store.launches.recover(PROCESS, bench.clock.now()) for _ in range(times)][-1]
    return SafeMode(bench.store, recovery.launch_id, bench.clock), recovery


def paused(bench: Bench, recovery: Recovery) -> bool:
    return bench.store.launches.is_paused(recovery.launch_id)


def test_it_begins_after_three_deaths_and_not_before(bench: Bench) -> None:
    safe_mode, recovery = launched_again(bench, UNHEALTHY_LAUNCHES - 1)
    safe_mode.begin(recovery)
    assert (safe_mode.active, paused(bench, recovery)) == (False, False)
    safe_mode, recovery = launched_again(bench, 1)
    safe_mode.begin(recovery)
    assert (safe_mode.active, paused(bench, recovery)) == (True, True)


@pytest.mark.parametrize(("cut_off", "given_up"), [(1, 0), (0, 1)])
def test_a_job_that_was_in_flight_is_the_suspect_and_not_the_start(bench: Bench, cut_off: int, given_up: int) -> None:
    safe_mode, recovery = launched_again(bench, UNHEALTHY_LAUNCHES)
    safe_mode.begin(replace(recovery, cut_off=cut_off, crash_loops=given_up))
    assert (safe_mode.active, paused(bench, recovery)) == (False, False)


def test_it_ends_by_itself_after_ten_minutes(bench: Bench) -> None:
    safe_mode, recovery = launched_again(bench, UNHEALTHY_LAUNCHES)
    safe_mode.begin(recovery)
    bench.clock.pass_time(SAFE_MODE_SECONDS - 1)
    assert not safe_mode.poll(paused=True)
    assert paused(bench, recovery)
    bench.clock.pass_time(1)
    assert safe_mode.poll(paused=True)
    assert (safe_mode.active, paused(bench, recovery)) == (False, False)


def test_whoever_ends_the_pause_ends_it_and_a_later_pause_stays(bench: Bench) -> None:
    safe_mode, recovery = launched_again(bench, UNHEALTHY_LAUNCHES)
    safe_mode.begin(recovery)
    bench.store.launches.resume(recovery.launch_id)
    assert safe_mode.poll(paused=False)
    assert not safe_mode.active
    bench.store.launches.pause(recovery.launch_id, bench.clock.now())
    bench.clock.pass_time(SAFE_MODE_SECONDS)
    assert not safe_mode.poll(paused=True)
    assert paused(bench, recovery)
