"""Reads one published run back whole and compares it with everything that is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.domain.files import FileRecord, FileState
from exlab_wizard.domain.text.amounts import number, plural
from exlab_wizard.errors import ExlabError
from exlab_wizard.transfer.destination.existing import Published
from exlab_wizard.transfer.ports import TransferControl
from exlab_wizard.transfer.source.manifest import RESERVED

MISSING: Final = "it is missing"
ALTERED: Final = "its content differs from the verified one"
UNLISTED: Final = "it was not verified: no checksum list names it"


@dataclass(frozen=True, slots=True)
class Known:
    """What the database knows of a run: the rows of the job that published it last, and of its other jobs.

    `job_keys` are all its jobs. `in_between`: one of them is unfinished, or a later one was interrupted, failed or was
    cancelled, so the folder may be between two steps.
    """

    rows: Mapping[str, FileRecord]
    others: Mapping[str, FileRecord]
    job_key: str
    job_keys: frozenset[str]
    in_between: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """A fault of a published run; `path` is its folder, or the file in it."""

    path: Path
    detail: str


def read_back(
    final: Path, known: Known, control: TransferControl, moved: Callable[[int], None]
) -> Iterator[Difference]:
    """Yield how the folder `final` differs from `known`; `moved` is called with the bytes that were read."""
    try:
        published = Published.at(final)
    except (ExlabError, OSError, ValueError) as error:
        yield Difference(final, f"it cannot be read: {error}" if final.is_dir() else MISSING)
        return
    yield from _receipt(published, known)
    for path in sorted({*known.rows, *published.listed}):
        detail = _file(published, known.rows.get(path), path, control, moved)
        if detail:
            yield Difference(final / path, detail)
    for path in sorted(published.found.keys() - published.listed.keys() - known.rows.keys()):
        if not _is_on_its_way(published, known, path, control):
            yield Difference(final / path, UNLISTED)


def _receipt(published: Published, known: Known) -> Iterator[Difference]:
    owner = published.owner
    if owner is None:
        yield Difference(published.root, "it has no receipt")
    elif owner.job_key not in known.job_keys:
        yield Difference(published.root, f"its receipt belongs to {owner.run_path!r}, job {owner.job_key}")
    elif owner.checksums_sha256 != published.list_sha256 and not known.in_between:
        yield Difference(published.root, "its checksum list does not match its receipt")
    elif owner.job_key == known.job_key and owner.files != len(known.rows):
        counted = plural(owner.files, "file")
        yield Difference(published.root, f"its receipt counts {counted}, the database {number(len(known.rows))}")
    elif (published.links, published.folders) < (owner.symlinks, owner.folders):
        yield Difference(published.root, "it lacks symlinks or folders that its receipt counts")


def _file(
    published: Published, row: FileRecord | None, path: str, control: TransferControl, moved: Callable[[int], None]
) -> str:
    """Return the fault of one file; empty if there is none."""
    listed = published.listed.get(path)
    if path not in published.found:
        return MISSING
    if row is not None and (row.state is not FileState.VERIFIED or row.sha256 != listed):
        return f"its checksum is {listed} in the list, but {row.sha256} ({row.state}) in the database"
    if row is not None and row.size != published.found[path]:
        return f"it has {published.found[path]} bytes, but {row.size} were verified"
    try:
        found = published.hash_of(path, control)
    except OSError as error:
        return f"it cannot be read: {error}"
    moved(published.found[path])
    return "" if found == listed else ALTERED


def _is_on_its_way(published: Published, known: Known, path: str, control: TransferControl) -> bool:
    """Return whether a file that no list names is our own, or verified by a job that has not yet written its list."""
    row = known.others.get(path)
    if row is not None and row.state is FileState.VERIFIED:
        return published.hash_of(path, control) == row.sha256
    return known.in_between and path.removesuffix(".new") in RESERVED
