"""Forms of the settings as values, and faults of values at their fields."""

from __future__ import annotations

from datetime import time

import pytest

from exlab_wizard.server.page.settings.form import (
    destination_change,
    quit_change,
    rows_of,
    shown_destination,
    shown_quit,
)
from exlab_wizard.settings import DestinationSettings, QuitSettings, ScheduleEntry

LIMIT = ("destinations", "nas", "bandwidth_mib_s")
SHOWN = {"bandwidth": "99"}
SCHEDULE = ("destinations", "nas", "schedule")


@pytest.mark.parametrize(("text", "value"), [("50", 50), (" 2,5 ", 2.5), ("2.50", 2.5), ("", None), ("1e3", 1000)])
def test_a_number_is_understood_as_people_write_it(text: str, value: float | None) -> None:
    change = destination_change("nas", {"bandwidth": text}, SHOWN)
    assert (change.values[LIMIT], change.faults) == (value, {})


@pytest.mark.parametrize("text", ["fast", "5 MiB", "1.2.3", "--", "0x10"])
def test_what_is_no_number_is_told_at_its_field(text: str) -> None:
    assert set(destination_change("nas", {"bandwidth": text}, SHOWN).faults) == {"bandwidth"}
    assert set(quit_change({"window_s": text}, QuitSettings()).faults) == {
        "window_s",
        "session_end_window_s",
    }


@pytest.mark.parametrize("text", ["inf", "nan", "-inf"])
def test_what_is_no_quantity_is_left_to_the_rules_of_the_settings(text: str) -> None:
    with_value = destination_change("nas", {"bandwidth": text}, SHOWN)
    assert with_value.faults or isinstance(with_value.values[LIMIT], float)


def test_a_form_says_again_what_the_settings_say() -> None:
    entry = ScheduleEntry.model_validate({"days": "mon-fri", "from": time(8), "to": time(18, 30)})
    destination = DestinationSettings(target="/nas", bandwidth_mib_s=12.5, schedule=(entry,))
    fields = shown_destination(destination)
    assert rows_of(fields) == range(2)
    assert destination_change("nas", fields, fields).values == {}
    change = destination_change("nas", fields, SHOWN)
    assert change.values == {LIMIT: 12.5, SCHEDULE: [{"days": "mon-fri", "from": "08:00", "to": "18:30"}]}
    assert quit_change(shown_quit(QuitSettings()), QuitSettings()).values == {}


def test_nothing_of_a_value_is_lost_by_showing_it() -> None:
    entry = ScheduleEntry.model_validate({"days": "sat", "from": time(8, 0, 30), "to": time(9)})
    destination = DestinationSettings(target="/nas", bandwidth_mib_s=12.3456789, schedule=(entry,))
    fields = shown_destination(destination)
    assert (fields["bandwidth"], fields["from_0"]) == ("12.3456789", "08:00:30")
    change = destination_change("nas", {**fields, "bandwidth": "7"}, fields)
    assert change.values == {LIMIT: 7}


def test_empty_hours_are_left_out_and_faults_stay_with_the_row_that_was_typed() -> None:
    form = {"days_1": "Mon", "from_1": "08:00", "to_1": "18:00", "days_4": "sat"}
    change = destination_change("nas", form, SHOWN)
    assert change.values[SCHEDULE] == [
        {"days": "mon", "from": "08:00", "to": "18:00"},
        {"days": "sat", "from": "", "to": ""},
    ]
    assert set(change.faults) == {"from_4", "to_4"}
    assert change.by_field({(*SCHEDULE, 1, "days"): "Unknown.", (*SCHEDULE, 0, "to"): "Late."}) == {
        "days_4": "Unknown.",
        "to_1": "Late.",
    }
    assert change.by_field({("sync", "workers"): "Too many."}) == {"": "Too many."}
