"""Turns dataclasses into JSON documents and back, by their fields and type hints.

Strict: a field that is missing or of another kind is an error that names it, never a guess. Rows of the database are
read the same way, since their columns are the fields. Only a time may be any text, since people write times with SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Literal, TypeVar, get_args, get_origin, get_type_hints

from exlab_wizard.domain.clock import time_typed, to_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_View = TypeVar("_View", bound="DataclassInstance")
_Reader = Callable[[str, object], object]

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


class DecodeError(ValueError):
    """A document is not what its reader expects; the text names the field and its value."""


def about(description: str) -> dict[str, str]:
    """Return the metadata of a field with its meaning and unit, as the schema of the API shows it."""
    return {"description": description}


def decode(kind: type[_View], document: object) -> _View:
    """Return the dataclass that the document holds; further names in it are ignored.

    Raises:
        DecodeError: a field is missing or of another kind.
    """
    if not isinstance(document, Mapping):
        raise _unexpected(kind.__name__, document)
    values: dict[str, object] = {}
    for name, required, read in _readers(kind):
        if name in document:
            values[name] = read(name, document[name])
        elif required:
            msg = f"{name} is missing"
            raise DecodeError(msg)
    return kind(**values)


def encode(value: object, text: Callable[[str], str] = str) -> Json:
    """Return the JSON document of a dataclass, or of anything that one holds; `text` is applied to every text."""
    match value:
        case None | int() | float():
            document: Json = value if value is None or isfinite(value) else None
        case str():
            document = text(value)
        case datetime():
            document = to_text(value)
        case list() | tuple():
            document = [encode(one, text) for one in value]
        case dict():
            document = {str(name): encode(one, text) for name, one in value.items()}
        case _:
            document = document_of(value, text)
    return document


def document_of(view: object, text: Callable[[str], str] = str) -> dict[str, Json]:
    """Return the JSON object of a dataclass, its fields in their order."""
    if not is_dataclass(view) or isinstance(view, type):
        msg = f"{view!r} has no form in JSON"
        raise TypeError(msg)
    return {field.name: encode(getattr(view, field.name), text) for field in fields(view)}


@cache
def _readers(kind: type[DataclassInstance]) -> tuple[tuple[str, bool, _Reader], ...]:
    """Return name, whether it must be there, and reader of each field."""
    hints = get_type_hints(kind)
    return tuple((field.name, field.default is MISSING, _reader(hints[field.name])) for field in fields(kind))


def _reader(hint: object) -> _Reader:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return _of_literal(parts)
    if origin is list or origin is tuple:
        return _of_list(_reader(parts[0]), is_tuple=origin is tuple)
    if origin is dict:
        return _of_dict(_reader(parts[1]))
    if NoneType in parts:
        return _of_optional(_reader(next(part for part in parts if part is not NoneType)))
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda _, value: decode(hint, value)
    return _of_value(hint)


def _of_literal(words: tuple[object, ...]) -> _Reader:
    def read(name: str, value: object) -> object:
        if value not in words:
            raise _unexpected(name, value)
        return value

    return read


def _of_list(item: _Reader, *, is_tuple: bool) -> _Reader:
    def read(name: str, value: object) -> object:
        if not isinstance(value, list):
            raise _unexpected(name, value)
        items = [item(name, one) for one in value]
        return tuple(items) if is_tuple else items

    return read


def _of_dict(item: _Reader) -> _Reader:
    def read(name: str, value: object) -> object:
        if not isinstance(value, Mapping):
            raise _unexpected(name, value)
        return {str(key): item(str(key), one) for key, one in value.items()}

    return read


def _of_optional(inner: _Reader) -> _Reader:
    return lambda name, value: None if value is None else inner(name, value)


def _of_value(kind: object) -> _Reader:
    """Return the reader of a text, number, truth value, time or member of an enumeration."""
    if not isinstance(kind, type):
        msg = f"{kind!r} has no form in JSON"
        raise TypeError(msg)
    make: Callable[[str], object] | None = time_typed if kind is datetime else kind if issubclass(kind, Enum) else None
    wanted: type | tuple[type, ...] = str if make else (int, float) if kind is float else kind

    def read(name: str, value: object) -> object:
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise _unexpected(name, value)
        if kind is float and isinstance(value, int):
            return float(value)
        if make is None or not isinstance(value, str):
            return value
        try:
            return make(value)
        except ValueError as error:
            raise _unexpected(name, value) from error

    return read


def _unexpected(name: str, value: object) -> DecodeError:
    return DecodeError(f"{name} is {value!r}")
