"""Adding a run: people choose a folder below one of the configured roots and queue it for a destination."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.domain.text.names import sentence
from exlab_wizard.server.api.jobs import JobRoutes
from exlab_wizard.server.api.models import LONGEST_PATH, EnqueueJob
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError
from exlab_wizard.server.page.forms import SEE_OTHER, address, form_of, path_of
from exlab_wizard.server.page.views import Values, Views
from exlab_wizard.server.thread_pools import FolderReads
from exlab_wizard.transfer.source.folders import MOST_ENTRIES, Folder, Listing, list_folder, steps_of

ROWS: Final = 100
TIMEOUT_SECONDS: Final = 5.0
KNOWN_SECONDS: Final = 0.1
# What the API calls the fields of a job, and the form.
_FIELDS: Final = {"run_path": "path", "equipment_id": "equipment"}


@dataclass(frozen=True, slots=True)
class ChosenFolder:
    """A folder to show; `root` is the configured folder, `below` the path from there, empty for the root itself."""

    root: str
    below: str

    @property
    def path(self) -> str:
        """The absolute path of the folder."""
        return os.path.join(self.root, self.below) if self.below else self.root  # noqa: PTH118 - names stay as they are

    def link(self, below: str, first: int = 0) -> str:
        """Return the URL of the page for another folder below the same root."""
        query = {"root": address(self.root), "at": address(below)}
        return "/add?" + urlencode({**query, "first": first} if first else query)

    def way(self) -> list[tuple[str, str]]:
        """Return name and URL of each folder from the root down to this one."""
        steps = steps_of(self.below)
        return [(self.root, self.link(""))] + [
            (name, self.link("/".join(steps[: count + 1]))) for count, name in enumerate(steps)
        ]


@dataclass(frozen=True, slots=True)
class AddForm:
    """The form as it was sent, and its errors by field."""

    place: ChosenFolder | None
    typed: str = ""
    destination: str = ""
    equipment: str = ""
    first: int = 0
    faults: Mapping[str, str] = field(default_factory=dict)


class AddRoutes:
    """`/add`."""

    def __init__(self, views: Views, backend: Backend, folders: FolderReads, jobs: JobRoutes) -> None:
        self._views = views
        self._backend = backend
        self._folders = folders
        self._jobs = jobs
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/add", self.show, methods=["GET", "HEAD"])
        self.router.add_api_route("/add", self.add, methods=["POST"])

    def _roots(self) -> tuple[str, ...]:
        return self._backend.settings.current.server.roots

    def _place(self, query: Mapping[str, str]) -> ChosenFolder | None:
        """Return the folder that the request names; None if it must not be shown."""
        roots = self._roots()
        try:
            root, below = path_of(query.get("root", "")), path_of(query.get("at", ""))
            steps_of(below)
        except ValueError:
            return None
        if not root and len(roots) == 1:
            return ChosenFolder(roots[0], "")
        return ChosenFolder(root, below) if root in roots else None

    async def show(self, request: Request) -> Response:
        """Show the roots, or the chosen folder, and the form."""
        query = request.query_params
        place, first = self._place(query), query.get("first", "")
        wrong = place is None and ("root" in query or "at" in query)
        faults = {"place": "This folder is outside the folders that you can choose from here."} if wrong else {}
        number = int(first) if first.isdecimal() and len(first) <= len(str(MOST_ENTRIES)) else 0
        return await self._show(request, AddForm(place, first=number, faults=faults), 404 if wrong else 200)

    async def add(self, request: Request) -> Response:
        """Queue the run, by the same code as the API."""
        form = await form_of(request)
        typed, destination, equipment = (form.get(name, "").strip() for name in ("path", "destination", "equipment"))
        place = None if typed else self._place(form)
        # The root itself is not a run: it contains runs.
        path = place.path if place is not None and place.below else typed
        faults = {} if path and len(path) <= LONGEST_PATH else {"path": "Choose a folder, or enter its path."}
        if not destination:
            faults["destination"] = "Choose a destination."
        if faults:
            return await self._show(request, AddForm(place, typed, destination, equipment, faults=faults), 422)
        # The model rejects names that are not UTF-8, so it is not validated here; `queue` checks the run.
        body = EnqueueJob.model_construct(
            run_path=path, destination=destination, equipment_id=equipment or None, priority=0
        )
        try:
            job, _ = await self._jobs.queue(body)
        except ApiError as error:
            faults = {_FIELDS.get(error.field or "", error.field or "path"): _as_here(error.message)}
            refused = AddForm(place, typed, destination, equipment, faults=faults)
            return await self._show(request, refused, error.status_code)
        return RedirectResponse(f"/runs/{job.id}", SEE_OTHER)

    async def _show(self, request: Request, filled: AddForm, status: int) -> Response:
        place, listing, trouble = filled.place, None, ""
        if place is not None:
            try:
                listing = await self._folders.run(
                    place.root, lambda: list_folder(Path(place.root), place.below), TIMEOUT_SECONDS
                )
            except TimeoutError:
                trouble = f"The folder did not answer within {elapsed(TIMEOUT_SECONDS)}. Check its disk or share."
            except OSError as error:
                trouble = f"The folder cannot be read: {error.strerror or error}."
        return await self._views.show(
            request, "add.html", lambda: self._values(filled, listing, trouble), status=status
        )

    def _values(self, filled: AddForm, listing: Listing | None, trouble: str) -> Values:
        place, history = filled.place, self._backend.store.history
        folders = [] if listing is None else listing.folders
        here = folders[filled.first : filled.first + ROWS]
        following = filled.first + ROWS
        destinations = list(self._backend.destinations())
        known = history.of_run(place.path) if place is not None and place.below else None
        return {
            "filled": filled,
            "roots": [(root, ChosenFolder(root, "").link("")) for root in self._roots()],
            "way": [] if place is None else place.way(),
            "listing": listing,
            "trouble": trouble,
            "rows": [] if place is None else self._rows(place, here),
            "total": len(folders),
            "next": place.link(place.below, following) if place is not None and following < len(folders) else None,
            "known": [] if known is None else known.jobs,
            "known_cut": known is not None and known.cut,
            "destinations": destinations,
            "chosen": filled.destination or (destinations[0] if len(destinations) == 1 else ""),
            "equipment": history.recent_names()[1],
            "config": str(self._backend.settings.path),
        }

    def _rows(self, place: ChosenFolder, folders: list[Folder]) -> list[dict[str, object]]:
        belows = [f"{place.below}/{folder.name}" if place.below else folder.name for folder in folders]
        paths = [ChosenFolder(place.root, below).path for below in belows]
        known = self._backend.store.history.of_runs(paths, seconds=KNOWN_SECONDS)
        return [
            {
                "name": folder.name,
                "changed": _moment(folder.changed_ns),
                "link": place.link(below),
                "jobs": known.get(path, [])[:3],
            }
            for folder, below, path in zip(folders, belows, paths, strict=True)
        ]


def _moment(nanoseconds: int) -> str:
    try:
        return to_text(datetime.fromtimestamp(nanoseconds / 1e9, UTC))
    except (ValueError, OverflowError, OSError):  # a file system may return any number
        return ""


def _as_here(message: str) -> str:
    """Return an API message without the name of its field."""
    return sentence(message.removeprefix("run_path: "))
