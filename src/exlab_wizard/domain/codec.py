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
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from exlab_wizard.domain.clock import time_typed, to_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_View = TypeVar("_View", bound="DataclassInstance")
_T = TypeVar("_T")
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
        _refuse(kind.__name__, document)
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
            return value if value is None or isfinite(value) else None
        case str():
            return text(value)
        case datetime():
            return to_text(value)
        case list() | tuple():
            return [encode(one, text) for one in value]
        case dict():
            return {str(name): encode(one, text) for name, one in value.items()}
        case _:
            return document_of(value, text)


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
        return lambda name, value: value if value in parts else _refuse(name, value)
    if origin is list or origin is tuple:
        item = _reader(parts[0])
        return lambda name, value: origin(item(name, one) for one in _checked(list, name, value))
    if origin is dict:
        item = _reader(parts[1])
        return lambda name, value: {str(key): item(str(key), one) for key, one in _checked(dict, name, value).items()}
    if NoneType in parts:
        inner = _reader(next(part for part in parts if part is not NoneType))
        return lambda name, value: None if value is None else inner(name, value)
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda _, value: decode(hint, value)
    return _of_value(hint)


def _of_value(kind: object) -> _Reader:
    """Return the reader of a text, number, truth value, time or member of an enumeration."""
    if not isinstance(kind, type):
        msg = f"{kind!r} has no form in JSON"
        raise TypeError(msg)
    make: Callable[[str], object] | None = time_typed if kind is datetime else kind if issubclass(kind, Enum) else None
    wanted: type | tuple[type, ...] = str if make else (int, float) if kind is float else kind

    def read(name: str, value: object) -> object:
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            _refuse(name, value)
        if kind is float and isinstance(value, int):
            return float(value)
        if make is None or not isinstance(value, str):
            return value
        try:
            return make(value)
        except ValueError:
            _refuse(name, value)

    return read


def _checked(kind: type[_T], name: str, value: object) -> _T:
    return value if isinstance(value, kind) else _refuse(name, value)


def _refuse(name: str, value: object) -> NoReturn:
    msg = f"{name} is {value!r}"
    raise DecodeError(msg)
