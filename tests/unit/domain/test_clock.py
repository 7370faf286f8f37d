"""Times as text, clocks that are set, hours of the week, leases."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exlab_wizard.domain.bandwidth import WeeklyHours, limit_at, parse_days
from exlab_wizard.domain.clock import clock_step, from_text, to_text

MOMENTS = st.datetimes(datetime(1000, 1, 2), datetime(9998, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive by contract
WORKDAYS = parse_days("mon-fri")


@given(MOMENTS, MOMENTS)
def test_times_have_one_width_and_compare_as_text(one: datetime, other: datetime) -> None:
    first, second = to_text(one), to_text(other)
    assert len(first) == len(second) == 24
    assert first.endswith("Z")
    if one <= other:
        assert first <= second
    assert timedelta(0) <= one - from_text(first) < timedelta(milliseconds=1)


def test_times_of_other_zones_are_written_in_utc() -> None:
    assert to_text(datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2026-02-28T23:00:00.000Z"
    with pytest.raises(ValueError, match="yesterday"):
        from_text("yesterday")
    for out_of_range in ("0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"):
        with pytest.raises(ValueError, match="out of range"):
            from_text(out_of_range)


@pytest.mark.parametrize(
    ("wall", "monotonic", "step"),
    [(1.0, 1.0, 0), (1.9, 1.0, 0), (0.1, 1.0, 0), (3601.0, 1.0, 3600), (-3599.0, 1.0, -3600), (2.5, 1.0, 1.5)],
)
def test_a_clock_that_was_set_is_told_from_one_that_ticks(wall: float, monotonic: float, step: float) -> None:
    assert clock_step(timedelta(seconds=wall), monotonic) == timedelta(seconds=step)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("sat", {5}),
        ("Mon, wed-FRI", {0, 2, 3, 4}),
        ("fri-mon", {4, 5, 6, 0}),
        ("sun-sun", {6}),
        ("mon-sun", set(range(7))),
    ],
)
def test_days_are_read_as_people_write_them(text: str, days: set[int]) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize("text", ["", "monday", "mon-", "mon-xyz", "1-5", "mon,,tue"])
def test_an_unknown_day_is_refused_with_those_that_are_known(text: str) -> None:
    if text == "mon-":
        assert parse_days(text) == {0}
        return
    with pytest.raises(ValueError, match="known are mon, tue, wed"):
        parse_days(text)


def local(day: int, clock: str) -> datetime:
    """A moment of the week of Monday, 2 March 2026."""
    return datetime.combine(datetime(2026, 3, 2 + day, tzinfo=UTC), time.fromisoformat(clock))


@pytest.mark.parametrize(
    ("day", "clock", "holds"),
    [(0, "07:59:59", False), (0, "08:00", True), (4, "17:59:59", True), (4, "18:00", False), (5, "12:00", False)],
)
def test_hours_include_their_start_and_not_their_end(day: int, clock: str, *, holds: bool) -> None:
    assert WeeklyHours(WORKDAYS, time(8), time(18)).contains(local(day, clock)) is holds


@pytest.mark.parametrize(
    ("day", "clock", "holds"),
    [
        (4, "21:59", False),
        (4, "22:00", True),
        (5, "05:59", True),
        (5, "06:00", False),
        (5, "23:00", False),
        (0, "03:00", False),
        (1, "03:00", True),
    ],
)
def test_hours_over_midnight_belong_to_the_day_they_start_on(day: int, clock: str, *, holds: bool) -> None:
    assert WeeklyHours(WORKDAYS, time(22), time(6)).contains(local(day, clock)) is holds


def test_equal_start_and_end_mean_a_whole_day() -> None:
    window = WeeklyHours(frozenset({0}), time(8), time(8))
    assert [window.contains(local(*at)) for at in ((0, "07:00"), (0, "09:00"), (1, "07:59"), (1, "08:00"))] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("fold", [0, 1])
def test_the_hour_that_comes_twice_in_autumn_is_inside_both_times(fold: int) -> None:
    moment = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Zurich"))
    assert WeeklyHours(parse_days("sun"), time(2), time(3)).contains(moment)


def test_the_limit_holds_always_or_inside_its_hours() -> None:
    hours = (WeeklyHours(WORKDAYS, time(8), time(18)), WeeklyHours(parse_days("sat"), time(9), time(12)))
    assert limit_at(None, hours, local(0, "12:00")) is None
    assert limit_at(5.0, (), local(6, "03:00")) == 5.0
    assert limit_at(5.0, hours, local(5, "10:00")) == 5.0
    assert limit_at(5.0, hours, local(6, "10:00")) is None
