"""Runs a program that says which threads and modules it has when it ends: `python -m … FILE MODULE ARGUMENT…`.

The program ends in `os._exit` after it has closed everything; just before, the names of its threads are written into
FILE, and those of its modules into FILE.modules, one a line.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    file, module, *rest = arguments
    leave = os._exit

    def speak_and_leave(status: int) -> None:
        for timer in [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]:
            if timer.finished.is_set():  # cancelled; on a busy machine the template that it is at takes a moment
                timer.join(60.0)  # time: the generous limit, without importing what is looked for
        names = [thread.name for thread in threading.enumerate() if not thread.name.startswith("pytest_timeout")]
        Path(file).write_text("\n".join(names), "utf-8")
        Path(f"{file}.modules").write_text("\n".join(sorted(sys.modules)), "utf-8")
        leave(status)

    os._exit = speak_and_leave  # type: ignore[assignment]
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
