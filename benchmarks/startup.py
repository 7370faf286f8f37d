"""Start-up: from the command to ready, the schema check by itself, and `--help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from benchmarks.adapter import Ours
from benchmarks.application import COMMAND, Application
from benchmarks.measure import Figures, Run, Scratch, child_environment, fresh_process, main, rounds
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups

MODULE: Final = "benchmarks.startup"
HISTORY: Final = 1_000_000
MILLISECONDS: Final = 1e3

INTERPRETER: Final = "Python itself"
EAGER: Final = "imports of a full stack"
WALLS: Final = {
    INTERPRETER: (sys.executable, "-c", "pass"),
    EAGER: (sys.executable, "-c", "import sqlalchemy.orm, alembic.command, alembic.config, fastapi, uvicorn"),
    "exlab-wizard --help": (*COMMAND, "--help"),
    "exlab-wizard run --headless": COMMAND,
    "the same, 1,000,000 finished jobs": COMMAND,
}


def check(who: str, path: str) -> Figures:
    """Check an up-to-date schema, imports done."""
    state_dir, now = StateDir(Path(path)), SystemClock().now()
    if who == "exlab-wizard":
        began = time.perf_counter()
        database = Database(state_dir.database)
        assert not migration.upgrade(database, Backups(state_dir), now)
        return {"schema check, ms": (time.perf_counter() - began) * MILLISECONDS}
    began = time.perf_counter()
    from alembic import command  # noqa: PLC0415 - its import is what is measured
    from alembic.config import Config  # noqa: PLC0415 - likewise

    imported = time.perf_counter()
    config = Config()
    config.set_main_option("script_location", str(migration.migrations_dir()))
    database = Database(state_dir.database)
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    ended = time.perf_counter()
    whole = ended - (began if who == "alembic upgrade head, with its import" else imported)
    return {"schema check, ms": whole * MILLISECONDS}


def wall(command: tuple[str, ...]) -> float:
    """Return how long a command takes."""
    began = time.perf_counter()
    subprocess.run(command, env=child_environment(), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def run(options: argparse.Namespace) -> None:
    """Run the rounds and write the results."""
    scratch = Scratch("startup")
    result = Run("Start-up")
    empty, full = scratch.new(), scratch.new()
    Ours().open(empty).close()
    Ours.seed(full, HISTORY, 0, 0)
    for path in (empty, full):
        ended(Application(path))
    for number, who in rounds(list(WALLS), options.rounds):
        if who.startswith(("exlab-wizard run", "the same")):
            application = Application(empty if who.startswith("exlab") else full)
            result.add(who, number, {"command to ready, s": application.ready_s})
            ended(application)
        else:
            result.add(who, number, {"command to ready, s": wall(WALLS[who])})
    checks = ["exlab-wizard", "alembic upgrade head", "alembic upgrade head, with its import"]
    for number, who in rounds(checks, options.rounds):
        result.add(who, number, fresh_process(MODULE, "check", who, empty))
    result.save("startup", {"command to ready, s": EAGER, "schema check, ms": checks[2]})
    scratch.remove()


def ended(application: Application) -> None:
    """Quit it and wait for its end."""
    application.terminate()
    application.gone()


if __name__ == "__main__":
    main(MODULE, run, {"check": check})
