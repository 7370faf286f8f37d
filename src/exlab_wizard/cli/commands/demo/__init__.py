"""`demo`: a demonstration on this machine, with the real program, a real kill and a real read-back.

Every figure is read from the database or the file system at that moment. The first promise that is broken ends the
demo with status 1 and is named.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

import click

from exlab_wizard.cli.commands.demo.stage import (
    CRAWL_MIB_S,
    LARGE_MIB,
    SLOW_MIB_S,
    SMALL_FILES,
    DemoStage,
    make_run,
    stage,
)
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.text.amounts import duration, elapsed, plural, size
from exlab_wizard.errors import ExlabError
from exlab_wizard.store.reports.rows import JOB_STATES, LAST_LAUNCH, ONE_JOB
from exlab_wizard.transfer.destination.receipt import parse_checksums

_KILLED: Final = (-9, 1)  # Windows reports 1 for a process that was terminated


@click.command("demo", epilog=example("exlab-wizard demo", "exlab-wizard demo --keep"))
@click.option("--keep", is_flag=True, help="Keep the scratch folder, to inspect the database and the files.")
@json_option
def command(*, keep: bool, as_json: bool) -> None:
    """Show what this program does, in about a minute and in a temporary folder that is removed at the end.

    Syncs a run, kills the program with SIGKILL in the middle of a large file, starts it again, shows what was resumed
    and what was not sent again, and verifies the copy with sha256sum. Then it forces a quit during a second sync,
    starts the program again, and ends with both runs verified.
    """
    with stage(keep=keep) as here:
        story = _Story(here, quiet=as_json)
        story.run()
        if as_json:
            emit({**story.facts, "folder": str(here.root) if keep else None})
        elif keep:
            say(f"The scratch folder was kept: {here.root}")


class _Story:
    """The demo, step by step; `facts` collects what a program reads of it."""

    def __init__(self, here: DemoStage, *, quiet: bool) -> None:
        self._here, self._quiet = here, quiet
        self._began = time.monotonic()
        self.facts: dict[str, Json] = {}

    def run(self) -> None:
        """Go through all steps; the first broken promise ends it."""
        self._prepare()
        self._kill_in_the_middle()
        self._resume()
        self._verify("run-17")
        self._force_quit()
        self._finish()
        self._say("")
        self._say(f"Everything is verified. Nothing was lost. {duration(time.monotonic() - self._began)}.")

    def _prepare(self) -> None:
        self._heading(
            f"Create a run (one {size(LARGE_MIB << 20)} file, {SMALL_FILES} small files, odd names) and a destination"
        )
        made = make_run(self._here.root / "runs" / "run-17", 17, LARGE_MIB, SMALL_FILES)
        self._here.program("destination", "add", "nas", str(self._here.nas), "--bandwidth", str(SLOW_MIB_S))
        self._say(f"{size(made)} in {self._here.root / 'runs' / 'run-17'}")
        self.facts["bytes"] = made

    def _kill_in_the_middle(self) -> None:
        self._heading("Start the application, queue the run, kill -9 in the middle of the large file")
        self._here.launch()
        self._here.program("sync", str(self._here.root / "runs" / "run-17"))
        third = LARGE_MIB * (1 << 20) // 3
        self._here.until("a third of the large file is sent", lambda: _whole(self._job(1)["bytes_done"]) > third)
        self._here.limit(CRAWL_MIB_S)
        status = self._here.kill()
        row = self._job(1)
        self._require(status in _KILLED, f"the process was killed, exit status {status}")
        self._require(row["state"] == "running", "the row still says running: the program had no time to clean up")
        self._require(not (self._here.nas / "run-17").exists(), "the final path does not exist yet")
        self._say(f"killed, exit status {status}; the job in the database now:")
        self._show(row)
        self.facts |= {"kill_status": status, "bytes_at_kill": row["bytes_done"]}

    def _resume(self) -> None:
        self._heading("Start it again")
        self._here.limit(None)
        ready = self._here.launch()
        self._require(ready["resumed"] == 1, f"the launch resumed 1 run (it resumed {ready['resumed']})")
        self._until_verified(1)
        row = self._job(1)
        kept, total = _whole(row["bytes_resumed"]), _whole(row["bytes_total"])
        self._require(kept > 0, "bytes that were sent before the kill are not sent again (all were)")
        self._say(f"1 run resumed: {size(kept)} had already been sent, {size(total - kept)} were still to send")
        self._show(row)
        self.facts |= {"resumed": ready["resumed"], "bytes_resumed": kept}

    def _verify(self, run: str) -> None:
        self._heading("Check the copy with another program: sha256sum -c in the folder on the NAS")
        checked = _check(self._here.nas / run)
        self._say(f"{plural(checked, 'file')}: OK")
        self.facts["files_checked"] = checked

    def _force_quit(self) -> None:
        self._heading("Quit, queue a second run while the program is not running, start it, force a quit mid-copy")
        self._quit()
        self._here.limit(CRAWL_MIB_S)
        make_run(self._here.root / "runs" / "run-18", 18, LARGE_MIB // 2, 10)
        self._here.program("sync", str(self._here.root / "runs" / "run-18"))
        self._here.launch()
        self._here.until("the second run is in flight", lambda: _whole(self._job(2)["bytes_done"]) > 0)
        began = time.monotonic()
        status = self._quit("--force")
        took = time.monotonic() - began
        row = self._job(2)
        ended = self._here.sql(LAST_LAUNCH)[0]
        self._require(row["state"] == "resumable", f"the row says resumable (it says {row['state']})")
        self._require(row["attempts"] == 0, f"the interrupted attempt does not count (attempts={row['attempts']})")
        self._say(f"exited after {elapsed(took)} with status {status}; its exit receipt says: {ended['ended']}")
        self._show(row)
        self.facts |= {"forced_state": row["state"], "forced_receipt": ended["ended"]}

    def _finish(self) -> None:
        self._heading("Start it again, let it finish, quit")
        self._here.limit(None)
        self._here.launch()
        self._until_verified(2)
        kept = _whole(self._job(2)["bytes_resumed"])
        status = self._quit()
        states = [row["state"] for row in self._here.sql(JOB_STATES)]
        self._require(states == ["verified", "verified"], f"both runs are verified (they are {states})")
        left = [path.name for path in self._here.nas.iterdir() if path.name not in ("run-17", "run-18")]
        self._require(
            left == [".exlab-destination"], f"nothing but the runs and the marker is on the NAS (there is {left})"
        )
        checked = _check(self._here.nas / "run-18")
        self._say(f"{size(kept)} of the second run were not sent again")
        self._say(f"both runs are verified ({checked} more files are OK), nothing else is left; exit status {status}")
        self.facts |= {
            "states": states,
            "bytes_resumed_after_force": kept,
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def _quit(self, *options: str) -> int:
        self._here.program("quit", *options)
        return self._here.wait_for_exit()

    def _until_verified(self, job: int) -> None:
        def done() -> bool:
            row = self._job(job)
            self._require(row["state"] not in ("failed", "cancelled"), f"job {job} succeeds (it is {row['state']})")
            return row["state"] == "verified"

        self._here.until(f"job {job} is verified", done)

    def _job(self, number: int) -> dict[str, Json]:
        return self._here.sql(ONE_JOB.format(job_id=number))[0]

    def _show(self, row: dict[str, Json]) -> None:
        self._say("  " + "  ".join(f"{name}={value}" for name, value in row.items()))

    def _heading(self, text: str) -> None:
        self._say("")
        self._say(f"[{elapsed(time.monotonic() - self._began):>6}] {text}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            say(text)

    def _require(self, holds: object, what: str) -> None:
        if not holds:
            msg = f"the demo failed: expected: {what}"
            raise ExlabError(msg)


def _check(folder: Path) -> int:
    """Check a published run with `sha256sum -c`, or without it if it is missing; return the number of files."""
    listed = folder / ".exlab-wizard" / "checksums.sha256"
    with listed.open("rb") as file:
        hashes = parse_checksums(file)
    tool = shutil.which("sha256sum")
    if tool:
        command = [tool, "--check", "--strict", "--quiet", str(listed.relative_to(folder))]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            msg = f"sha256sum -c failed in {folder}: {done.stdout}{done.stderr}"
            raise ExlabError(msg)
    else:
        for path, wanted in hashes.items():
            with (folder / path).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
                    msg = f"{path!r} in {folder} does not match its checksum"
                    raise ExlabError(msg)
    return len(hashes)


def _whole(value: Json) -> int:
    if not isinstance(value, int):
        msg = f"the database returned {value!r} instead of a number"
        raise ExlabError(msg)
    return value
