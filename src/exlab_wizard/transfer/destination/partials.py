"""Removes the incoming folders that cancelled jobs leave on a destination.

It touches only folders of this installation: other workstations share the destination.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from exlab_wizard.transfer.destination.marker import probe
from exlab_wizard.transfer.destination.publish import INCOMING, remove_empty
from exlab_wizard.transfer.files.tree import Tree, sweep


def remove_leftovers(
    destination: Path, installation: str, is_over: Callable[[int], bool], marker_id: str = ""
) -> list[int]:
    """Remove the incoming folders whose job `is_over` for good, and return the numbers of those jobs.

    Raises:
        TransferWaitError: the destination is offline.
        OSError: a folder cannot be removed; the next poll tries again.
    """
    probe(destination, marker_id)
    ours = re.compile(rf"{re.escape(installation)}-(\d+)")
    incoming = destination / INCOMING
    removed: list[int] = []
    with suppress(FileNotFoundError):
        for folder in sorted(incoming.iterdir()):
            named = ours.fullmatch(folder.name)
            if named is None or not is_over(int(named[1])):
                continue
            with Tree(folder) as tree:
                sweep(tree, (), (), ())
            folder.rmdir()
            removed.append(int(named[1]))
    if removed:
        remove_empty(incoming)
    return removed
