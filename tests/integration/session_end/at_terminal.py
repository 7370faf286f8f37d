"""Runs a program at a terminal of its own: `python -m … TERMINAL MODULE ARGUMENT…`."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    terminal, module, *rest = arguments
    os.setsid()
    os.open(terminal, os.O_RDWR)  # who leads a session and opens a terminal that nobody has, has it
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
