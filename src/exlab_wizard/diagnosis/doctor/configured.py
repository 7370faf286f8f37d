"""The settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exlab_wizard.diagnosis.doctor.checkup import CheckResult, bad, doubtful, good
from exlab_wizard.errors import SettingsError
from exlab_wizard.settings import DestinationSettings, SettingsFile


def settings(config: Path) -> Iterator[CheckResult]:
    """Check the configuration file: readable, keys known, values allowed, at least one destination."""
    try:
        found = SettingsFile(config).read()
    except SettingsError as error:
        for line in str(error).splitlines():
            yield bad("settings", line, "Correct the configuration; docs/settings.md lists the allowed values.")
        return
    yield good("settings", str(config) if config.exists() else f"{config} does not exist; the defaults apply")
    if not found.destinations:
        yield doubtful("destinations", "none configured", "exlab-wizard destination add NAME FOLDER")


def destinations(config: Path) -> dict[str, DestinationSettings]:
    """Return the configured destinations; none if the file is invalid."""
    try:
        return SettingsFile(config).read().destinations
    except SettingsError:
        return {}
