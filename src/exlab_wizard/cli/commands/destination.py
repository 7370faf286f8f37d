"""`destination`: add, list and test the named targets of the configuration."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.cli.terminal.table import table
from exlab_wizard.diagnosis.doctor import share
from exlab_wizard.diagnosis.doctor.checkup import Check, Verdict, check_up
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.text.amounts import rate
from exlab_wizard.durable import make_folder
from exlab_wizard.errors import ExlabError, RefusedError, UsageError
from exlab_wizard.settings import DestinationSettings, SettingsFile, plain_name, supported_target
from exlab_wizard.transfer.destination.marker import MARKER, create_marker


@click.group("destination", epilog=example("exlab-wizard destination add nas /mnt/nas/lab --bandwidth 50"))
def command() -> None:
    """Add, list and test destinations: named folders of mounted shares, to which runs are synced."""


@command.command("add", epilog=example("exlab-wizard destination add nas /mnt/nas/lab --bandwidth 50"))
@click.argument("name")
@click.argument("target")
@click.option(
    "--bandwidth", metavar="MIB_S", type=click.FloatRange(0, 100_000, min_open=True), help="Bandwidth limit in MiB/s."
)
@click.option("--create", is_flag=True, help="Create the folder if it does not exist.")
@json_option
@click.pass_obj
def add(  # noqa: PLR0913 - one parameter for each option
    locations: Locations, *, name: str, target: str, bandwidth: float | None, create: bool, as_json: bool
) -> None:
    """Add the folder TARGET as destination NAME, and write a marker file into it.

    Mount the share first: the marker distinguishes a mounted share from the empty folder of an unmounted one.
    """
    file = SettingsFile(locations.config)
    known = file.read().destinations.get(name)
    folder = _folder(name, target)
    if known is not None and known.folder != folder:
        msg = f"the destination {name!r} already exists: {known.target}. Use another name, or edit {locations.config}"
        raise RefusedError(msg)
    made = _make(folder, create=create)
    marked = (folder / MARKER).exists()
    try:
        _check_writable(folder)
        marker = create_marker(folder, name)
        if known is None:
            file.add_destination(name, str(folder), bandwidth, marker=marker)
    except ExlabError:
        if not marked:
            (folder / MARKER).unlink(missing_ok=True)
        if made:
            folder.rmdir()
        raise
    if as_json:
        emit({"name": name, "target": str(folder), "created": known is None, "config": str(locations.config)})
    elif known is None:
        say(f"destination {name} → {folder} added to {locations.config}")
        say(f"Queue a run with: exlab-wizard sync PATH --to {name}")
    else:
        say(f"destination {name} → {folder} already exists; its marker is in place")


def _folder(name: str, target: str) -> Path:
    try:
        plain_name(name)
        supported_target(target)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not target:
        raise UsageError("the target is empty; give the folder of a mounted share")
    try:
        target.encode()
    except UnicodeEncodeError as error:
        msg = f"the name of the folder {target!r} contains bytes that config.toml cannot store; mount it elsewhere"
        raise UsageError(msg) from error
    return Path(os.path.abspath(target))  # noqa: PTH100 - resolves "..", and keeps links


def _make(folder: Path, *, create: bool) -> bool:
    """Create the folder if it is missing; return whether it was created."""
    try:
        if folder.is_dir():
            return False
        if folder.exists():
            msg = f"{str(folder)!r} is not a folder; give the folder of a mounted share"
            raise UsageError(msg)
        if not create:
            msg = f"the folder {str(folder)!r} does not exist; mount the share, or create it with --create"
            raise UsageError(msg)
        make_folder(folder)
    except OSError as error:
        msg = f"the folder {str(folder)!r} cannot be used: {error.strerror or error}"
        raise UsageError(msg) from error
    return True


def _check_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".exlab-test-"):
            pass
    except OSError as error:
        why = error.strerror or error
        msg = f"the folder {str(folder)!r} is not writable: {why}. Make it writable for your account."
        raise UsageError(msg) from error


@command.command("list", epilog=example("exlab-wizard destination list --json"))
@json_option
@click.pass_obj
def list_(locations: Locations, *, as_json: bool) -> None:
    """List the configured destinations. Their folders are not accessed, so a share that hangs does not matter."""
    found = SettingsFile(locations.config).read().destinations
    if as_json:
        emit([{"name": name, **_document(settings)} for name, settings in found.items()])
    elif not found:
        say("no destination is configured; add one with: exlab-wizard destination add NAME FOLDER")
    else:
        table(("name", "target", "limit", "hours"), [(n, s.target, _limit(s), _hours(s)) for n, s in found.items()])


def _document(settings: DestinationSettings) -> dict[str, str | float | list[dict[str, str]] | None]:
    hours = [{"days": e.days, "from": f"{e.from_:%H:%M}", "to": f"{e.to:%H:%M}"} for e in settings.schedule]
    return {"target": settings.target, "bandwidth_mib_s": settings.bandwidth_mib_s, "schedule": hours}


def _limit(settings: DestinationSettings) -> str:
    return "none" if settings.bandwidth_mib_s is None else rate(settings.bandwidth_mib_s * (1 << 20))


def _hours(settings: DestinationSettings) -> str:
    return ", ".join(f"{entry.days} {entry.from_:%H:%M}-{entry.to:%H:%M}" for entry in settings.schedule)


@command.command("test", epilog=example("exlab-wizard destination test nas"))
@click.argument("name")
@json_option
@click.pass_obj
def test(locations: Locations, *, name: str, as_json: bool) -> None:
    """Test a destination as a sync uses it: reachable, marked, writable, able to rename, and how much space is free."""
    known = SettingsFile(locations.config).read().destinations
    if name not in known:
        msg = f"there is no destination {name!r}; configured: {', '.join(known) or 'none'}"
        raise UsageError(msg)
    test = Check("answers", lambda: share.examine(known[name].folder, known[name].marker), share.REMEDY)
    findings = list(check_up([test]))
    failed = [finding.name for finding in findings if finding.verdict is Verdict.ERROR]
    if as_json:
        checks: list[Json] = [
            {"name": f.name, "ok": f.verdict is not Verdict.ERROR, "detail": f.detail, "remedy": f.remedy}
            for f in findings
        ]
        emit({"name": name, "target": known[name].target, "ok": not failed, "checks": checks})
    else:
        words = {Verdict.OK: "ok", Verdict.WARN: "warning", Verdict.ERROR: "FAILED"}
        rows = [(finding.name, words[finding.verdict], finding.detail) for finding in findings]
        table(("check", "result", "detail"), rows)
    if failed:
        msg = f"the destination {name!r} is not usable now: {', '.join(failed)}"
        raise ExlabError(msg)
