"""A process of its own that claims until nothing is left, and prints the ids; started by test_claims."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.support import given

from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store


def main(database: Path, launch_id: int) -> None:
    store = Store(Database(database))
    store.jobs.claim(launch_id=-1, now=given.NOW)  # opens the connection and claims nothing
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    work = threading.Event()
    while (job := store.jobs.claim(launch_id, given.NOW)) is not None:
        sys.stdout.write(f"{job.job_id}\n")
        # Without any work, one process would have taken everything before the others began.
        work.wait(0.001)  # time: it is the work
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
