"""Runs a program in which a thread dies when a test says so: `python -m tests.session.mortal FOLDER MODULE ARGUMENT…`.

A file `FOLDER/NAME.die` lets `SystemExit` be raised inside the thread NAME, wherever that is at that moment, until it
is gone; the file is removed then. Nothing of the program is replaced.
"""

from __future__ import annotations

import ctypes
import runpy
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_LOOK_SECONDS: Final = 0.02


def order(folder: Path, name: str) -> Path:
    """Return the file that orders the death of the thread `name`."""
    return folder / f"{name}.die"


def end(thread: threading.Thread) -> None:
    """Raise SystemExit in `thread` when it next runs Python."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def reap(folder: Path) -> None:
    pause = threading.Event()
    while not pause.wait(_LOOK_SECONDS):
        for ordered in folder.glob("*.die"):
            for doomed in [thread for thread in threading.enumerate() if thread.name == ordered.stem]:
                while doomed.is_alive():
                    end(doomed)
                    doomed.join(_LOOK_SECONDS)
                ordered.unlink()


def main(arguments: Sequence[str]) -> None:
    folder, module, *rest = arguments
    threading.Thread(target=reap, args=(Path(folder),), name="reaper", daemon=True).start()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
