"""Numbers for people: examples at the borders, and what holds for every number."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exlab_wizard.domain.text.amounts import (
    about,
    duration,
    elapsed,
    number,
    percent,
    plural,
    rate,
    rounded,
    size,
    times,
    verb,
)

SIZES = st.floats(0, 2.0**60) | st.integers(0, 1 << 60)
SPANS = st.floats(0, 1e9)
SHARES = st.floats(0, 100)
BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
SECONDS = {"s": 1, "min": 60, "h": 3_600, "day": 86_400, "days": 86_400}


def _value(text: str, units: dict[str, int]) -> float:
    """Return the number that a text of amounts and units says."""
    parts = re.findall(r"([\d.,]+) ([A-Za-z]+)", text)
    assert parts, text
    return sum(float(amount.replace(",", "")) * units[unit] for amount, unit in parts)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1023.7, "1.0 KiB"),
        (1024, "1.0 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (1 << 20, "1.0 MiB"),
        ((1 << 30) - 1, "1.0 GiB"),
        (3 << 30, "3.0 GiB"),
        (1 << 40, "1.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_a_size_changes_its_unit_at_the_border(count: float, words: str) -> None:
    assert size(count) == words
    assert rate(count) == f"{words}/s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (65, "1 min 5 s"),
        (3_599.6, "1 h"),
        (3_661, "1 h 1 min"),
        (86_399.9, "1 day"),
        (90_000, "1 day 1 h"),
        (200_000, "2 days 7 h"),
    ],
)
def test_a_duration_has_two_units_and_no_zero_in_the_second(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (59.0, "59 s"),
        (59.6, "1 min"),
        (90.0, "2 min"),
        (3_500.0, "58 min"),
        (3_590.0, "1 h"),
        (7_300.0, "2 h"),
        (86_000.0, "1 day"),
        (200_000.0, "2 days"),
    ],
)
def test_an_estimate_has_one_unit(seconds: float, words: str) -> None:
    assert rounded(seconds) == words
    assert about(seconds) == f"about {words}"


def test_a_short_time_keeps_its_fraction() -> None:
    assert [elapsed(seconds) for seconds in (0.0309, 2.5, 9.99, 95)] == ["0.0309 s", "2.5 s", "9.99 s", "1 min 35 s"]


@pytest.mark.parametrize(("share", "words"), [(0, "0%"), (0.9, "0%"), (41.9, "41%"), (99.99, "99%"), (100, "100%")])
def test_only_what_is_complete_is_100_percent(share: float, words: str) -> None:
    assert percent(share) == words


def test_counts_have_thousands_plurals_and_verbs() -> None:
    assert [plural(count, "run") for count in (0, 1, 2, 12_345)] == ["0 runs", "1 run", "2 runs", "12,345 runs"]
    assert [verb(count, "is") for count in (0, 1, 2)] == ["are", "is", "are"]
    assert [verb(2, one) for one in ("was", "has", "resumes", "needs")] == ["were", "have", "resume", "need"]
    assert [times(count) for count in (1, 2, 3, 1_000)] == ["once", "twice", "3 times", "1,000 times"]
    assert number(1_234_567) == "1,234,567"


@pytest.mark.parametrize(
    ("words", "amounts", "units", "error"),
    [(size, SIZES, BYTES, 0.06), (duration, SPANS, SECONDS, 0.05), (rounded, SPANS, SECONDS, 0.51)],
    ids=["size", "duration", "rounded"],
)
def test_what_is_said_is_near_the_amount_and_never_falls_when_it_grows(
    words: Callable[[float], str], amounts: st.SearchStrategy[float], units: dict[str, int], error: float
) -> None:
    @given(amounts, amounts)
    def holds(one: float, other: float) -> None:
        smaller, larger = sorted((one, other))
        said = [_value(words(amount), units) for amount in (smaller, larger)]
        assert said[0] <= said[1], (words(smaller), words(larger))
        for amount, value in zip((smaller, larger), said, strict=True):
            assert abs(value - amount) <= max(1.0, error * amount), (amount, words(amount))

    holds()


@given(SIZES)
def test_a_size_has_at_most_four_digits_before_the_point_and_the_largest_unit(count: float) -> None:
    amount, unit = size(count).split(" ")
    assert unit == "TiB" or float(amount) < 1024
    assert unit == "B" or float(amount) >= 1


@given(SHARES, SHARES)
def test_percents_rise_and_stay_within_bounds(one: float, other: float) -> None:
    smaller, larger = (int(percent(share).removesuffix("%")) for share in sorted((one, other)))
    assert 0 <= smaller <= larger <= 100


@given(st.integers(0, 10**12), st.sampled_from(["run", "file", "operation"]))
def test_only_one_is_singular(count: int, noun: str) -> None:
    words = plural(count, noun)
    assert words.endswith(noun) is (count == 1)
    assert words.split(" ")[0].replace(",", "") == str(count)
