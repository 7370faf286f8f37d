"""The application: whether it runs, and whether it answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exlab_wizard.client import Client, UnreachableError
from exlab_wizard.client.errors import AnswerError
from exlab_wizard.client.http import Transport
from exlab_wizard.diagnosis.doctor.checkup import CheckResult, Verdict, bad, good
from exlab_wizard.errors import DamagedError, StoreError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.instance_lock import is_running
from exlab_wizard.store.upkeep.damaged import open_raw

ANSWER_SECONDS: Final = 3.0
_WAYS: Final = {"ok": Verdict.OK, "warn": Verdict.WARN, "error": Verdict.ERROR}


def application(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check the instance lock, and the health of the application that holds it."""
    if not state_dir.root.exists() or not is_running(state_dir):
        yield good("application", "not running; start it with: exlab-wizard run")
        return
    yield good("application", f"running{_holder(state_dir)}")
    client = Client(state_dir, Transport(state_dir, proof_s=ANSWER_SECONDS, answer_s=ANSWER_SECONDS))
    try:
        url, health = client.url(), client.health()
    except (UnreachableError, AnswerError) as error:
        remedy = "It keeps syncing. Quit it with: exlab-wizard quit. Then start it again."
        yield bad("server", str(error), remedy)
        return
    finally:
        client.close()
    yield good("server", f"answers at {url}")
    for name, part in health.components.items():
        remedy = "" if part.status == "ok" else "Find the cause with: exlab-wizard status, and exlab-wizard logs"
        yield CheckResult(f"its {name}", _WAYS.get(part.status, Verdict.WARN), part.reason or part.status, remedy)


def _holder(state_dir: StateDir) -> str:
    try:
        with open_raw(state_dir.database) as file:
            pid = file.holder()
    except (DamagedError, StoreError):
        return ""
    return "" if pid is None else f" (pid {pid})"
