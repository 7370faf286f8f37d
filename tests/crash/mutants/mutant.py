"""One deliberate fault in a copy of the program, and the tests that must notice it.

The fault is an exact replacement of a piece of text that occurs once. The tests run in a process of their own, which
imports the copy and proves it; the program of this checkout is never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.crash.mutants.witness import REPORT, Testimony
from tests.support.program import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGE: Final = "exlab_wizard"
PLUGINS: Final = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "-p",
    "no:pytest_cov",
    "-p",
    "tests.crash.mutants.witness",
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is missing, where the text stands (below the package), what replaces it, and each test that must fail.

    `dies_of` is what the tests die of, where that is no assertion: the program itself may notice first.
    """

    missing: str
    module: str
    text: str
    instead: str
    tests: tuple[str, ...]
    dies_of: str = "AssertionError"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How pytest ended over the mutated copy, what the witness told, and which file it should have imported."""

    status: int
    told: Testimony
    mutated: str
    output: str


def mutate(mutant: Mutant, folder: Path) -> Path:
    """Copy the program into `folder` with the one fault, and return the mutated file."""
    copy = folder / "src" / PACKAGE
    shutil.copytree(ROOT / "src" / PACKAGE, copy)  # compiled modules too: all but one stay as they were
    shutil.copytree(ROOT / "migrations", folder / "migrations")
    file = copy / mutant.module
    text = file.read_text("utf-8")
    assert text.count(mutant.text) == 1, mutant.text
    file.write_text(text.replace(mutant.text, mutant.instead), "utf-8")
    return file


def judge(mutant: Mutant, folder: Path) -> Verdict:
    """Run the mutant's tests against its copy."""
    mutated = mutate(mutant, folder)
    report = folder / "report.json"
    # Coverage of a copy says nothing, and a worker of xdist is not what the child is.
    strange = ("COV_", "COVERAGE_", "PYTEST_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    environment |= {"PYTHONPATH": str(folder / "src"), REPORT: str(report)}
    command = [sys.executable, "-m", "pytest", "-q", *PLUGINS]
    done = subprocess.run(
        [*command, f"--basetemp={folder / 'tmp'}", *mutant.tests],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_SECONDS,  # a test that waits in vain must be heard to fail
        check=False,
    )
    output = done.stdout + done.stderr
    assert report.exists(), output
    return Verdict(done.returncode, Testimony.read(report), str(mutated), output)
