"""`python -m tests.crash.system_calls`: kill before and after every crash point, and print a table.

Status 1 when anything was lost, doubled or damaged, or when too many points were not there at their replay. Only rows
of pages that grow the write-ahead log, thousands of equal ones at each launch, are thinned out without `--every`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Final

from rich.console import Console
from rich.table import Table
from tests.crash.system_calls.full_run import RECOVERY_AGAIN, SHARES, Row, full_run
from tests.crash.system_calls.scenarios import ALL
from tests.crash.system_calls.stage import theatre
from tests.support.preload.build import build

NAMES: Final = [*(scenario.name for scenario in ALL), RECOVERY_AGAIN]
BEYOND_PERCENT: Final = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.system_calls")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="SCENARIO")
    parser.add_argument("--every", action="store_true", help="kill at each page that grows the write-ahead log, too")
    parser.add_argument("--minutes", type=float, help="hand out no share later than that, and say how many were left")
    options = parser.parse_args()
    began = time.monotonic()
    left_out: Counter[str] = Counter()
    rows = {name: Row(name) for name in options.only}
    with theatre() as home:
        shares = full_run(
            home, build("kill", home), options.only, options.workers, every=options.every, minutes=options.minutes
        )
        for share in shares:
            if share.left_out:
                left_out[share.name] += 1
                continue
            rows[share.name].add(share)
            told = f"{share.name}: {share.landed.total()} landed, {len(share.violations)} violations"
            sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {told}\n")
            sys.stderr.writelines(f"          {violation}\n" for violation in share.violations)
    for name, count in left_out.items():
        sys.stdout.write(f"left out when {options.minutes:g} minutes were over: {count} of {SHARES} shares of {name}\n")
    total = Row("all")
    for row in rows.values():
        total.add(row)
    total.points = sum((row.points for row in rows.values()), Counter())
    show([*rows.values(), total], time.monotonic() - began)
    sys.stdout.writelines(f"{violation}\n" for violation in total.violations)
    return int(bool(total.violations) or total.beyond * 100 > total.aimed * BEYOND_PERCENT)


def show(rows: list[Row], seconds: float) -> None:
    """Print one line for each scenario."""
    table = Table("scenario", title=f"killed at system calls, {seconds:.0f} s", box=None, pad_edge=False)
    for column in ("points", "kills", "landed", "beyond", "violations"):
        table.add_column(column, justify="right")
    table.add_column("points by call")
    for row in rows:
        numbers = (row.points.total(), row.aimed, row.landed.total(), row.beyond, len(row.violations))
        by_call = ", ".join(f"{call} {count}" for call, count in sorted(row.points.items()))
        table.add_row(row.name, *(f"{number:,}" for number in numbers), by_call)
    Console(width=160).print(table)


if __name__ == "__main__":
    sys.exit(main())
