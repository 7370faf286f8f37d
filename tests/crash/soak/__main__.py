"""`python -m tests.crash.soak`: run the soak and print its table.

Status 1 when anything was lost, doubled or damaged, or grew.

The state dir, both sides of every run and a log stay where they are then; what passed is removed.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.crash.soak.scene import Scene
from tests.crash.soak.soak import Report, Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None, help="repeats what was drawn by lot")
    parser.add_argument("--home", type=Path, default=None, help="a folder to work below; the system's own unless told")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    home = Path(tempfile.mkdtemp(prefix="exlab-soak-", dir=options.home))
    sys.stderr.write(f"soak: seed {seed}, {options.minutes:g} minutes, in {home}\n")
    with Scene(home) as scene:
        report = Soak(scene, seed, options.minutes * 60).run()
    if options.json:
        document = {"figures": report.figures, "violations": report.violations}
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        show(report)
    if report.violations:
        sys.stderr.write(f"soak: state and log are kept in {home}; repeat with --seed {seed}\n")
        return 1
    shutil.rmtree(home)
    return 0


def show(report: Report) -> None:
    width = max(map(len, report.figures))
    for name, value in report.figures.items():
        sys.stdout.write(f"{name:<{width}}  {value:,}\n" if isinstance(value, int) else f"{name:<{width}}  {value}\n")
    sys.stdout.write(f"{'violations':<{width}}  {len(report.violations)}\n")
    for sentence in report.violations:
        sys.stdout.write(f"  {sentence}\n")


if __name__ == "__main__":
    sys.exit(main())
