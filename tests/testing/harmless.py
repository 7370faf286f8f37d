"""A victim whose kill was taken out: it notes what it does, and lives on."""

from __future__ import annotations

import sys

from exlab_wizard.points import Point
from exlab_wizard.testing import victim
from exlab_wizard.testing.victim import Notes


def only_note(notes: Notes, point: Point) -> None:
    notes.write("killed", point)


if __name__ == "__main__":
    victim.kill = only_note
    victim.main(sys.argv[1:])
