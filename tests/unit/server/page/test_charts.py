"""Charts add up, in the zone of whoever looks, and say where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from exlab_wizard.domain.clock import time_typed
from exlab_wizard.domain.text.amounts import size
from exlab_wizard.server.page import charts
from exlab_wizard.store.reports.metrics import DrainDuration, Quarter

NOW = datetime(2026, 11, 24, 14, 20, tzinfo=UTC)
GIB = 1 << 30


def quarter(at: datetime, amount: int = GIB, runs: int = 1) -> Quarter:
    return Quarter(at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0), amount, runs)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
def test_every_byte_of_the_last_day_is_in_one_hour(zone: str) -> None:
    quarters = [quarter(NOW - timedelta(minutes=15 * back)) for back in range(24 * 4 - 4)]
    chart = charts.by_hour(quarters, NOW, ZoneInfo(zone))
    assert len(chart.bars) == 24
    counted = [int(bar.value.split(", ")[1].split()[0]) for bar in chart.bars]
    assert sum(counted) == len(quarters)
    assert max(counted) == 4
    last = NOW.astimezone(ZoneInfo(zone)).replace(minute=0)
    assert chart.bars[-1].name == f"{last:%Y-%m-%d %H:%M}"


def test_days_begin_at_local_midnight_and_the_night_of_the_change_has_25_hours() -> None:
    berlin, now = ZoneInfo("Europe/Berlin"), datetime(2026, 10, 26, 12, tzinfo=UTC)
    hours = [quarter(datetime(2026, 10, 24, 22, tzinfo=UTC) + timedelta(hours=at)) for at in range(25)]
    chart = charts.by_day(hours, now, berlin)
    assert [bar.value for bar in chart.bars[-3:]] == ["0 B, 0 runs", "25.0 GiB, 25 runs", "0 B, 0 runs"]
    assert chart.bars[-2].name == "Sun 2026-10-25"
    assert charts.first_day(now, berlin) == datetime(2026, 9, 26, 22, tzinfo=UTC)


def test_what_lies_before_the_first_bar_is_in_none() -> None:
    chart = charts.by_hour([quarter(NOW - timedelta(hours=24))], NOW, UTC)
    assert chart.empty
    assert all(bar.value == "0 B, 0 runs" for bar in chart.bars)


def test_no_bar_leaves_the_picture_and_none_that_is_something_is_invisible() -> None:
    chart = charts.by_hour([quarter(NOW, 7 * GIB), quarter(NOW - timedelta(hours=3), 1)], NOW, UTC)
    for bar in chart.bars:
        assert bar.x >= charts.LEFT
        assert bar.x + bar.width <= charts.WIDTH - charts.RIGHT
        assert bar.y >= charts.TOP
        assert bar.y + bar.height == pytest.approx(charts.HEIGHT - charts.BOTTOM, abs=0.11)
    assert [bar.height > 1 for bar in chart.bars if bar.value[0] != "0"] == [True, True]


@pytest.mark.parametrize("amount", [1, 999, 1024, 3_000_000, 990_000_000, 1_200_000_000_000, 5 << 50])
def test_the_scale_has_round_numbers_and_the_highest_bar_is_inside(amount: int) -> None:
    chart = charts.by_hour([quarter(NOW, amount)], NOW, UTC)
    assert 2 <= len(chart.lines) <= 6
    assert chart.lines[0] == (charts.HEIGHT - charts.BOTTOM, "0")
    assert chart.lines[-1][0] == charts.TOP
    assert len({label for _, label in chart.lines}) == len(chart.lines)
    digits = {label.split()[0].rstrip("0").rstrip(".") for _, label in chart.lines[1:]}
    assert all(len(number) <= 4 for number in digits), digits
    assert chart.bars[-1].value.startswith(size(amount))


def test_drains_stand_in_the_order_of_their_time_and_say_how_they_ended() -> None:
    drains = [
        DrainDuration(datetime(2026, 11, 24, 10, tzinfo=UTC), "forced", 95.0),
        DrainDuration(datetime(2026, 11, 23, 10, tzinfo=UTC), "drained", 0.031),
    ]
    first, second = charts.of_drains(drains, UTC).bars
    assert (first.name, first.value, first.sign) == ("2026-11-23 10:00", "0.031 s", "drained")
    assert (second.value, second.sign) == ("1 min 35 s", "forced")
    assert second.height > first.height > 1
    assert charts.of_drains([]).empty
    typed = replace(drains[0], draining_since=time_typed("soon"))
    assert charts.of_drains([typed], UTC).bars[0].value == "1 min 35 s"
