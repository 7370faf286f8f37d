"""A victim whose kill was taken out: it notes what it does, and lives on."""

from __future__ import annotations

import sys

from exlab_wizard.testing import victim


def live_on() -> None:
    """Do nothing."""


if __name__ == "__main__":
    victim.kill = live_on
    victim.main(sys.argv[1:])
