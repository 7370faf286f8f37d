"""The state dir and the configuration that a command works on, from the options before its name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from exlab_wizard.paths import StateDir, default_config, default_state_dir


@dataclass(frozen=True, slots=True)
class Locations:
    """The state dir and the configuration file; neither needs to exist."""

    state_dir: StateDir
    config: Path

    @classmethod
    def from_options(cls, state_dir: str | None, config: str | None) -> Locations:
        """Return the locations that the options name; the environment or the system's defaults name the others."""
        root = Path(state_dir).expanduser().absolute() if state_dir else default_state_dir()
        by_name = state_dir is not None or bool(os.environ.get("EXLAB_STATE_DIR"))
        file = Path(config).expanduser().absolute() if config else default_config(root, state_dir_named=by_name)
        return cls(StateDir.at(root), file)
