"""Runs a program in which a thread dies when a test says so: `python -m … FOLDER MODULE ARGUMENT…`.

A file `FOLDER/NAME.die` ends the thread NAME: a GLib loop that it is in is told to stop, as one that fails does, and
in any other `SystemExit` is raised, wherever it is at that moment, until it is gone; the file is removed then. Nothing
of the program is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import runpy
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_POLL_INTERVAL_SECONDS: Final = 0.02


def order(folder: Path, name: str) -> Path:
    """Return the file that orders the death of the thread `name`."""
    return folder / f"{name}.die"


def end(thread: threading.Thread) -> None:
    """End the GLib loop of `thread`, or raise SystemExit in it when it next runs Python, and wake it for that."""
    owners = list(owners_of(thread))
    for owner in owners:
        # By its name, for the module of GLib must be the program's own to import. SystemExit would not do: what is
        # raised in a callback of GLib never reaches the loop.
        if type(owner).__name__ == "MainLoop":
            owner.quit()  # type: ignore[attr-defined]
            return
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))
    for owner in owners:
        if isinstance(owner, asyncio.AbstractEventLoop):
            with contextlib.suppress(RuntimeError):  # it has just been closed
                owner.call_soon_threadsafe(int)


def owners_of(thread: threading.Thread) -> Iterator[object]:
    """Yield the object of each method that `thread` is in."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the only way to see another thread
    while frame is not None:
        yield frame.f_locals.get("self")
        frame = frame.f_back


def reap(folder: Path) -> None:
    pause = threading.Event()
    while not pause.wait(_POLL_INTERVAL_SECONDS):  # time: between two looks
        for ordered in folder.glob("*.die"):
            for doomed in [thread for thread in threading.enumerate() if thread.name == ordered.stem]:
                while doomed.is_alive():
                    end(doomed)
                    doomed.join(_POLL_INTERVAL_SECONDS)
                ordered.unlink()


def main(arguments: Sequence[str]) -> None:
    folder, module, *rest = arguments
    threading.Thread(target=reap, args=(Path(folder),), name="reaper", daemon=True).start()
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
