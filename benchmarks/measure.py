"""How everything here is measured: rounds interleaved, the order rotated, one fresh process for each measurement.

Two contestants are compared only within a round, seconds apart, so that a busy machine disturbs both; what is shown is
the median over the rounds of that ratio, with the spread (largest less smallest, over the median) beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = ROOT / "benchmarks" / "results"
DEFAULT_ROUNDS: Final = 5

Figures = dict[str, float]
Contestant = TypeVar("Contestant")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one contestant in one round."""

    what: str
    who: str
    round: int
    value: float


@dataclass(slots=True)
class Run:
    """All figures of one run of one script."""

    title: str
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def add(self, who: str, number: int, figures: Figures) -> None:
        """Keep the figures of one measurement and show them."""
        for what, value in figures.items():
            self.rows.append(Row(what, who, number, value))
            print(f"round {number}  {who:<28} {what:<44} {value:.6g}", flush=True)

    def values(self, what: str, who: str) -> dict[int, float]:
        """Return a contestant's figures by round."""
        return {row.round: row.value for row in self.rows if row.what == what and row.who == who}

    def table(self, references: dict[str, str]) -> str:
        """Return a Markdown table; `references` names, for each kind of figure, whom the others are divided by."""
        lines = [
            "| what | who | median | ratio to the reference | spread | rounds |",
            "|---|---|---|---|---|---|",
        ]
        for what in dict.fromkeys(row.what for row in self.rows):
            reference = references.get(what, references.get("", ""))
            base = self.values(what, reference)
            for who in dict.fromkeys(row.who for row in self.rows if row.what == what):
                mine = self.values(what, who)
                ratios = [value / base[number] for number, value in mine.items() if base.get(number)]
                shown = ["", f"{spread(list(mine.values())):.2f} (of itself)"]
                if who == reference:
                    shown[0] = "1 (the reference)"
                elif ratios:
                    shown = [f"{statistics.median(ratios):.2f}", f"{spread(ratios):.2f}"]
                cells = (what, who, f"{statistics.median(mine.values()):.4g}", *shown, str(len(mine)))
                lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)

    def save(self, name: str, references: dict[str, str]) -> None:
        """Write the run as JSON and as a table, and print the table."""
        RESULTS.mkdir(exist_ok=True)
        table = self.table(references)
        rows: dict[str, dict[str, list[float]]] = {}
        for row in self.rows:
            rows.setdefault(row.what, {}).setdefault(row.who, []).append(float(f"{row.value:.5g}"))
        document = {"title": self.title, "machine": machine() | self.facts, "figures": rows}
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (RESULTS / f"{name}.md").write_text(f"# {self.title}\n\n{table}\n", "utf-8")
        print(f"\n{table}\n")


def spread(values: Sequence[float]) -> float:
    """Return (largest - smallest) / median: the noise that belongs beside a median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def machine() -> dict[str, str]:
    """Return what a reader must know about the machine."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": str(os.cpu_count()),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def rounds(contestants: Sequence[Contestant], count: int) -> Iterator[tuple[int, Contestant]]:
    """Yield every contestant once a round; each round begins with another one."""
    for number in range(count):
        first = number % len(contestants)
        for who in (*contestants[first:], *contestants[:first]):
            yield number, who


def fresh_process(module: str, *arguments: str | Path | int, python: str = sys.executable) -> Figures:
    """Run `python -m module --child arguments` and return the figures that it prints as its last line.

    Raises:
        RuntimeError: it failed; the message is what it wrote.
    """
    done = subprocess.run(
        [python, "-m", module, "--child", *map(str, arguments)],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode:
        msg = f"{module} {arguments}: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def child_environment() -> dict[str, str]:
    """Return the environment in which children find the program, installed or not."""
    known = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *([known] if known else [])])}


class Scratch:
    """A folder for this run; `BENCH_TMP` puts it on the disk that is to be measured."""

    def __init__(self, name: str) -> None:
        """Create it."""
        place = os.environ.get("BENCH_TMP")
        if place:
            Path(place).mkdir(parents=True, exist_ok=True)
        self.root = Path(tempfile.mkdtemp(prefix=f"exlab-bench-{name}-", dir=place))
        self._count = 0

    def new(self) -> Path:
        """Return an empty folder."""
        self._count += 1
        folder = self.root / f"{self._count:04d}"
        folder.mkdir()
        return folder

    def remove(self) -> None:
        """Delete everything; at the very end, since ext4 creates files slowly for minutes after a big delete."""
        shutil.rmtree(self.root)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def main(module: str, run: Callable[[argparse.Namespace], None], children: dict[str, Callable[..., Figures]]) -> None:
    """Be either the parent, which runs the rounds, or one child, which measures once and prints its figures."""
    if sys.argv[1:2] == ["--child"]:
        name, *arguments = sys.argv[2:]
        print(json.dumps(children[name](*arguments)), flush=True)
        # Teardown is nobody's business here, and it would take the next contestant's time.
        os._exit(0)
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument("--only", default="", help="measure only these, separated by commas")
    run(parser.parse_args())
