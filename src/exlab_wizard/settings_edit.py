"""Changes `config.toml` from a form: checked field by field, and never on top of another change.

A form keeps the token of the file that its values came from; if the file has changed since, nothing is saved.
Everything else in the file stays as it was written, comments and order included.
"""

from __future__ import annotations

import hashlib
import threading
import tomllib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from exlab_wizard.errors import ExlabError, SettingsError
from exlab_wizard.settings import Settings, SettingsFile, parse

Toml = str | int | float | bool | Sequence["Toml"] | Mapping[str, "Toml"] | None
Key = tuple[str, ...]


class SettingsChangedError(ExlabError):
    """The file has changed since its values were shown; nothing was saved."""


class FieldsError(ExlabError):
    """Values are not allowed; nothing was saved. `faults` maps each key, in parts, to a sentence."""

    def __init__(self, faults: Mapping[tuple[int | str, ...], str]) -> None:
        self.faults = dict(faults)
        super().__init__("; ".join(f"{'.'.join(map(str, key))}: {fault}" for key, fault in faults.items()))


@dataclass(frozen=True, slots=True)
class SettingsSnapshot:
    """The settings as the file holds them, with the token of that file."""

    settings: Settings
    token: str


class SettingsChange:
    """Reads and changes one file. Thread-safe."""

    def __init__(self, file: SettingsFile) -> None:
        self._file = file
        self._lock = threading.Lock()

    def read(self) -> SettingsSnapshot:
        """Return what the file contains now, which may be newer than what the application uses.

        Raises:
            SettingsError: it cannot be used as it is.
        """
        text = self._file.text()
        return SettingsSnapshot(parse(text, str(self._file.path)), _token(text))

    def save(self, token: str, values: Mapping[Key, Toml]) -> bool:
        """Set `values`, None removes a key; return whether anything was written. They take effect at once.

        Raises:
            SettingsChangedError: the file is not the one that `token` is of.
            FieldsError: a value is not allowed.
            SettingsError: the file cannot be used, or not be written.
        """
        import tomlkit  # noqa: PLC0415 - only a change needs it, and every command reads

        with self._lock:
            text = self._file.text()
            if _token(text) != token:
                msg = f"{self._file.path} was changed in the meantime. Nothing was saved; check the current values."
                raise SettingsChangedError(msg)
            parse(text, str(self._file.path))
            held = tomllib.loads(text)
            new = {key: value for key, value in values.items() if _at(held, key) != value}
            if not new:
                return False
            document = tomlkit.parse(text)
            for key, value in new.items():
                _set(held, key, value)
                _set(document, key, None if value is None else _item(value))
            _check(held)
            written = tomlkit.dumps(document)
            if tomllib.loads(written) != held:
                msg = f"{self._file.path} is written in a form that cannot be changed here. Edit it in a text editor."
                raise SettingsError(msg)
            self._file.replace(written)
            return True


def _token(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check(document: Mapping[str, object]) -> None:
    try:
        Settings.model_validate(document)
    except ValidationError as error:
        raise FieldsError({fault["loc"]: _sentence(fault["msg"]) for fault in error.errors()}) from error


def _sentence(message: str) -> str:
    said = message.removeprefix("Value error, ").replace("Input should", "This should")
    return f"{said[:1].upper()}{said[1:]}."


def _at(table: object, key: Key) -> object:
    for part in key:
        table = table.get(part) if isinstance(table, Mapping) else None
    return table


def _set(table: MutableMapping[str, object], key: Key, value: object) -> None:
    """Set the value at `key`, or remove it."""
    *above, last = key
    for part in above:
        deeper = table.setdefault(part, {})
        if not isinstance(deeper, MutableMapping):
            msg = f"{'.'.join(key)} cannot be set: {part} is not a table"
            raise SettingsError(msg)
        table = deeper
    if value is None:
        table.pop(last, None)
    else:
        table[last] = value


def _item(value: Toml) -> object:
    """Return `value` as it is written into a file: a list of tables stays in one line for each."""
    import tomlkit  # noqa: PLC0415 - likewise

    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    items = tomlkit.array()
    for one in value:
        if isinstance(one, Mapping):
            table = tomlkit.inline_table()
            table.update(one)
            items.append(table)
        else:
            items.append(one)
    return items.multiline(multiline=len(value) > 1)
