"""Reads the fields of an answer with their types. What is missing or of another kind is an error, never a guess."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from exlab_wizard.client.errors import UnreachableError
from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.status import Row

_Answer = TypeVar("_Answer")


class Fields:
    """One object of an answer; each method raises UnreachableError where the field is not of that kind."""

    def __init__(self, document: object) -> None:
        """Read `document`, which must be an object."""
        if not isinstance(document, Mapping):
            raise _not_understood("an object", document)
        self._document: Mapping[object, object] = document

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._document.get(name)
        if not isinstance(value, str):
            raise _not_understood(name, value)
        return value

    def maybe_text(self, name: str) -> str | None:
        """Return a text, or None where there is none."""
        return None if self._document.get(name) is None else self.text(name)

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self._document.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise _not_understood(name, value)
        return value

    def maybe_whole(self, name: str) -> int | None:
        """Return a whole number, or None where there is none."""
        return None if self._document.get(name) is None else self.whole(name)

    def real(self, name: str) -> float:
        """Return a number."""
        value = self._document.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _not_understood(name, value)
        return float(value)

    def maybe_real(self, name: str) -> float | None:
        """Return a number, or None where there is none."""
        return None if self._document.get(name) is None else self.real(name)

    def flag(self, name: str) -> bool:
        """Return a truth value."""
        value = self._document.get(name)
        if not isinstance(value, bool):
            raise _not_understood(name, value)
        return value

    def maybe_flag(self, name: str) -> bool | None:
        """Return a truth value, or None where it is not known."""
        return None if self._document.get(name) is None else self.flag(name)

    def moment(self, name: str) -> datetime:
        """Return a time, aware, in UTC."""
        text = self.text(name)
        try:
            return from_text(text)
        except ValueError as error:
            raise _not_understood(name, text) from error

    def maybe_moment(self, name: str) -> datetime | None:
        """Return a time, or None where there is none."""
        return None if self._document.get(name) is None else self.moment(name)

    def names(self) -> list[str]:
        """Return the names of the fields."""
        return [str(name) for name in self._document]

    def inner(self, name: str) -> Fields:
        """Return an object."""
        return Fields(self._document.get(name))

    def maybe_inner(self, name: str) -> Fields | None:
        """Return an object, or None where there is none."""
        return None if self._document.get(name) is None else self.inner(name)

    def row(self) -> Row:
        """Return the object itself, as a row of the database."""
        row: Row = {}
        for name, value in self._document.items():
            if not (value is None or isinstance(value, str | int | float)):
                raise _not_understood(str(name), value)
            row[str(name)] = value
        return row

    def each(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        value = self._document.get(name)
        if not isinstance(value, list):
            raise _not_understood(name, value)
        return [Fields(one) for one in value]

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return a list of whole numbers."""
        value = self._document.get(name)
        if not isinstance(value, list):
            raise _not_understood(name, value)
        return tuple(Fields({name: one}).whole(name) for one in value)


def understood(read: Callable[[Fields], _Answer], fields: Fields) -> _Answer:
    """Return what `read` makes of an answer; a word that this version does not know is an answer of another one."""
    try:
        return read(fields)
    except ValueError as error:
        msg = f"the application's answer is of another version than this program: {error}. Use the same of both."
        raise UnreachableError(msg, sent=True) from error


def _not_understood(name: str, value: object) -> UnreachableError:
    msg = (
        f"the application's answer is of another version than this program: {name} is {value!r}. Use the same of both."
    )
    return UnreachableError(msg, sent=True)
