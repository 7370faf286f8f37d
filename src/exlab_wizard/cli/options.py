"""Arguments, options and errors that several commands share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from exlab_wizard.errors import ApplicationNotRunningError
from exlab_wizard.paths import StateDir, default_config, default_state_dir

JOB_ID: Final = click.IntRange(1, 1 << 62)
PAGE: Final = 50
LONGEST_PAGE: Final = 100_000
LONGEST_ANSWER: Final = 1_000
"""The most rows that the application returns at once; for more, commands read the database."""

limit_option = click.option(
    "--limit", type=click.IntRange(1, LONGEST_PAGE), default=PAGE, show_default=True, help="Maximum number of rows."
)


@dataclass(frozen=True, slots=True)
class Locations:
    """The state dir and the configuration file that a command works on; neither needs to exist."""

    state_dir: StateDir
    config: Path

    @classmethod
    def from_options(cls, state_dir: str | None, config: str | None) -> Locations:
        """Return the locations that the options name; the environment or the system's defaults name the others."""
        root = Path(state_dir).expanduser().absolute() if state_dir else default_state_dir()
        by_name = state_dir is not None or bool(os.environ.get("EXLAB_STATE_DIR"))
        file = Path(config).expanduser().absolute() if config else default_config(root, state_dir_named=by_name)
        return cls(StateDir(root), file)


def not_running(locations: Locations) -> ApplicationNotRunningError:
    """Return the error of a command that needs a running application."""
    msg = f"not running for the state dir {str(locations.state_dir.root)!r}; `exlab-wizard run` starts it"
    return ApplicationNotRunningError(msg)
