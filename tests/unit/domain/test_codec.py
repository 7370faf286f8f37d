from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

import pytest

from exlab_wizard.domain.codec import DecodeError, about, decode, document_of, encode


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Part:
    size: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Whole:
    name: str
    share: float
    good: bool
    colour: Colour | None
    at: datetime
    kind: Literal["a", "b"]
    parts: tuple[Part, ...]
    numbers: list[int]
    by_name: dict[str, Part]
    inner: Part | None


AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
WHOLE = Whole("x", 1.5, True, Colour.RED, AT, "a", (Part(1), Part(2, "n")), [3], {"p": Part(4)}, None)  # noqa: FBT003 - a field
DOCUMENT = {
    "name": "x",
    "share": 1.5,
    "good": True,
    "colour": "red",
    "at": "2026-01-02T03:04:05.678Z",
    "kind": "a",
    "parts": [{"size": 1, "note": None}, {"size": 2, "note": "n"}],
    "numbers": [3],
    "by_name": {"p": {"size": 4, "note": None}},
    "inner": None,
}


def test_a_view_and_its_document_are_each_others_reading() -> None:
    assert document_of(WHOLE) == DOCUMENT
    assert list(document_of(WHOLE)) == list(DOCUMENT)
    assert decode(Whole, {**DOCUMENT, "of a later version": 1}) == WHOLE


def test_a_whole_number_is_a_number_and_a_default_may_be_missing() -> None:
    assert decode(Whole, {**DOCUMENT, "share": 2}).share == 2.0
    assert decode(Part, {"size": 1}) == Part(1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": None}, {"name": 1}, {"share": "1"}, {"share": True}, {"good": 1}, {"colour": "blue"},
        {"at": 1}, {"kind": "c"}, {"parts": {}}, {"parts": [1]}, {"parts": [{}]}, {"numbers": ["3"]},
        {"numbers": [True]}, {"by_name": []}, {"inner": 7},
    ],
)  # fmt: skip
def test_what_is_of_another_kind_is_an_error_that_says_what(wrong: dict[str, object]) -> None:
    with pytest.raises(DecodeError, match=r" is "):
        decode(Whole, {**DOCUMENT, **wrong})


@pytest.mark.parametrize("name", DOCUMENT)
def test_what_is_missing_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(DecodeError, match=f"^{name} is missing$"):
        decode(Whole, {key: value for key, value in DOCUMENT.items() if key != name})


@pytest.mark.parametrize("document", [None, [], "x", 7])
def test_what_is_no_object_is_an_error(document: object) -> None:
    with pytest.raises(DecodeError, match="Part is"):
        decode(Part, document)


@pytest.mark.parametrize("text", ["soon", "", "0001-01-01", "9999-12-31T23:59:59-23:00"])
def test_a_time_that_is_none_keeps_its_text_and_can_be_calculated_with(text: str) -> None:
    whole = decode(Whole, {**DOCUMENT, "at": text})
    assert document_of(whole) == {**DOCUMENT, "at": text}
    assert whole.at < AT
    assert (AT - whole.at).total_seconds() > 0
    assert whole.at.astimezone() == whole.at


def test_every_text_can_be_changed_on_its_way_out_and_no_number_is_endless() -> None:
    assert encode([Part(1, "n"), "n", math.inf], str.upper) == [{"size": 1, "note": "N"}, "N", None]


@pytest.mark.parametrize("value", [object(), Part, b"x"])
def test_what_has_no_form_in_json_is_an_error(value: object) -> None:
    with pytest.raises(TypeError, match="no form in JSON"):
        encode(value)


def test_a_field_without_a_form_in_json_is_an_error() -> None:
    @dataclass(frozen=True)
    class Odd:
        data: "complex | list"  # type: ignore[type-arg]  # noqa: UP037 - no kind that a document holds

    with pytest.raises(TypeError):
        decode(Odd, {"data": 1})


def test_the_meaning_of_a_field_is_its_metadata() -> None:
    assert about("bytes") == {"description": "bytes"}
