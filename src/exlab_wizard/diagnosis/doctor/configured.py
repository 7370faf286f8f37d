"""The settings, and what they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exlab_wizard.diagnosis.doctor.checkup import CheckResult, bad, doubtful, good
from exlab_wizard.errors import SettingsError
from exlab_wizard.settings import DestinationSettings, SettingsFile


def settings(config: Path) -> Iterator[CheckResult]:
    """Look at the configuration file: readable, every key known, every value allowed, a destination named."""
    try:
        found = SettingsFile(config).read()
    except SettingsError as error:
        for line in str(error).splitlines():
            yield bad("settings", line, "Correct it there; docs/settings.md lists what is allowed.")
        return
    yield good("settings", str(config) if config.exists() else f"{config} does not exist: the defaults hold")
    if not found.destinations:
        yield doubtful("destinations", "none is configured", "exlab-wizard destination add NAME FOLDER")


def destinations(config: Path) -> dict[str, DestinationSettings]:
    """Return the configured destinations; none where the file cannot be used."""
    try:
        return SettingsFile(config).read().destinations
    except SettingsError:
        return {}
