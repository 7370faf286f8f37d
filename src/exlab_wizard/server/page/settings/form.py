"""Translates between the forms of the settings page and `config.toml`: values one way, errors back. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Final

from exlab_wizard.settings import DestinationSettings, NotificationSettings, QuitSettings
from exlab_wizard.settings_edit import Key, Toml

MOST_HOURS: Final = 60
HOUR_FIELDS: Final = ("days", "from", "to")
QUIT_FIELDS: Final = tuple(QuitSettings.model_fields)
_NO_NUMBER: Final = "Enter a number, such as 30 or 2.5."


@dataclass(frozen=True, slots=True)
class Change:
    """The changes that a form asks for; `fields` names the field of the form behind each key, for its errors."""

    values: dict[Key, Toml]
    fields: Mapping[tuple[int | str, ...], str]
    faults: Mapping[str, str]

    def by_field(self, faults: Mapping[tuple[int | str, ...], str]) -> dict[str, str]:
        """Return the errors by field; those that belong to no field have the empty name."""
        found: dict[str, str] = {}
        for key, fault in faults.items():
            name = next((self.fields[key[:size]] for size in range(len(key), 0, -1) if key[:size] in self.fields), "")
            found[name] = f"{found[name]} {fault}" if name in found else fault
        return found


def shown_quit(quit_: QuitSettings) -> dict[str, str]:
    """Return the fields of the quit form."""
    return {"window_s": _written(quit_.window_s), "session_end_window_s": _written(quit_.session_end_window_s)}


def quit_change(form: Mapping[str, str], quit_: QuitSettings) -> Change:
    """Return the changes of the quit form; a field that still shows `quit_` changes nothing."""
    return _numbers("quit", QUIT_FIELDS, form, shown_quit(quit_))


def shown_notifications(notifications: NotificationSettings) -> dict[str, str]:
    """Return the fields of the notification form; a box that is not ticked has none."""
    ticked = {"enabled": "true"} if notifications.enabled else {}
    return {**ticked, "offline_after_s": _written(notifications.offline_after_s)}


def notifications_change(form: Mapping[str, str], notifications: NotificationSettings) -> Change:
    """Return the changes of the notification form; a field that still shows `notifications` changes nothing."""
    change = _numbers("notifications", ("offline_after_s",), form, shown_notifications(notifications))
    ticked = "enabled" in form
    if ticked != notifications.enabled:
        change.values["notifications", "enabled"] = ticked
    return change


def shown_destination(destination: DestinationSettings) -> dict[str, str]:
    """Return the fields of the form of a destination."""
    limit = destination.bandwidth_mib_s
    fields = {"bandwidth": "" if limit is None else _written(limit)}
    for number, entry in enumerate(destination.schedule):
        values = (entry.days, _clock(entry.from_), _clock(entry.to))
        fields |= {f"{name}_{number}": value for name, value in zip(HOUR_FIELDS, values, strict=True)}
    return fields


def rows_of(fields: Mapping[str, str]) -> range:
    """Return the numbers of the schedule rows to show: the filled ones, and an empty one."""
    filled = [number for number in range(MOST_HOURS) if any(fields.get(f"{name}_{number}") for name in HOUR_FIELDS)]
    return range(min(max(filled, default=-1) + 2, MOST_HOURS))


def destination_change(name: str, form: Mapping[str, str], shown: Mapping[str, str]) -> Change:
    """Return the changes of the form of destination `name`; a field that is still as `shown` changes nothing.

    Empty schedule rows are left out.
    """
    here = ("destinations", name)
    limit, schedule = (*here, "bandwidth_mib_s"), (*here, "schedule")
    text = form.get("bandwidth", "").strip()
    number = _number(text)
    faults = {"bandwidth": _NO_NUMBER} if text and number is None else {}
    fields: dict[tuple[int | str, ...], str] = {limit: "bandwidth", schedule: "days_0"}
    hours: list[Toml] = []
    for row in range(MOST_HOURS):
        entry = {part: form.get(f"{part}_{row}", "").strip().lower() for part in HOUR_FIELDS}
        if any(entry.values()):
            fields |= {(*schedule, len(hours), part): f"{part}_{row}" for part in HOUR_FIELDS}
            faults |= {f"{part}_{row}": "Fill this in, or clear the row." for part in HOUR_FIELDS if not entry[part]}
            hours.append(entry)
    values: dict[Key, Toml] = {}
    if text != shown["bandwidth"]:
        values[limit] = number
    if any(form.get(field, "") != shown.get(field, "") for field in _hour_fields()):
        values[schedule] = hours or None
    return Change(values, fields, faults)


def _numbers(section: str, names: Sequence[str], form: Mapping[str, str], shown: Mapping[str, str]) -> Change:
    values: dict[Key, Toml] = {}
    faults: dict[str, str] = {}
    for name in names:
        if form.get(name) != shown[name]:
            number = _number(form.get(name, ""))
            if number is None:
                faults[name] = _NO_NUMBER
            else:
                values[section, name] = number
    return Change(values, {(section, name): name for name in names}, faults)


def _hour_fields() -> list[str]:
    return [f"{part}_{row}" for part in HOUR_FIELDS for row in range(MOST_HOURS)]


def _written(number: float) -> str:
    return f"{number:.15g}"


def _clock(at: time) -> str:
    return at.isoformat("minutes" if not at.second and not at.microsecond else "auto")


def _number(text: str) -> float | int | None:
    """Return the number in `text`, with a decimal comma or point; None for anything else."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def mark_of(destination: str) -> str:
    """Return the id of the section of a destination; the prefix keeps it apart from all other ids."""
    return f"to-{destination}"
