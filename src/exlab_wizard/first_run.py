"""A new installation gets somewhere to sync to, so that it can be tried before the NAS is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from exlab_wizard.durable import make_folder
from exlab_wizard.paths import StateDir
from exlab_wizard.settings import SettingsFile
from exlab_wizard.transfer.destination.marker import create_marker

FIRST_DESTINATION: Final = "local"


def give_first_destination(state_dir: StateDir, settings: SettingsFile) -> Path:
    """Create a folder in the state dir, make it the destination `local`, and return it.

    Raises:
        ExlabError: the folder or the configuration cannot be written.
    """
    folder = state_dir.first_destination
    make_folder(folder)
    marker = create_marker(folder, FIRST_DESTINATION)
    settings.add_destination(FIRST_DESTINATION, str(folder), marker=marker)
    return folder
