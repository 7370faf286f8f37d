"""Which state dir and configuration a command works on, as the options before its name say."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from exlab_wizard.paths import StateDir, default_config, default_state_dir


@dataclass(frozen=True, slots=True)
class Place:
    """The state dir and the configuration file; neither needs to exist."""

    state_dir: StateDir
    config: Path

    @classmethod
    def named(cls, state_dir: str | None, config: str | None) -> Place:
        """Return the place that the options name; what they leave open, the environment or the system names."""
        root = Path(state_dir).expanduser().absolute() if state_dir else default_state_dir()
        by_name = state_dir is not None or bool(os.environ.get("EXLAB_STATE_DIR"))
        file = Path(config).expanduser().absolute() if config else default_config(root, state_dir_named=by_name)
        return cls(StateDir.at(root), file)
