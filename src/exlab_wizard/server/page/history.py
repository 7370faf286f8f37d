"""The history: all jobs, searched, filtered and paged; and the charts of the last days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.text.jobs import STATES
from exlab_wizard.domain.text.names import sentence
from exlab_wizard.server.admin.routes import PREFIX, is_installed
from exlab_wizard.server.api.models import LARGEST_ID
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.page import charts
from exlab_wizard.server.page.views import Values, Views
from exlab_wizard.store.reports.history import Search

ROWS: Final = 50
DRAINS: Final = 30
LONGEST_TEXT: Final = 200
FIELDS: Final = ("text", "state", "equipment", "destination", "since", "until")


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """The search form of the history as typed, and its errors by field."""

    fields: Mapping[str, str]
    faults: Mapping[str, str]
    search: Search
    before: int | None

    def query(self, before: int | None) -> str:
        """Return the query string of the page whose jobs come before that id."""
        kept = {name: value for name, value in self.fields.items() if value}
        return urlencode(kept if before is None else {**kept, "before": before})


def query_of(query: Mapping[str, str]) -> HistoryQuery:
    """Return the search; a field that cannot be understood is an error and does not filter."""
    fields = {name: query.get(name, "").strip()[:LONGEST_TEXT] for name in FIELDS}
    faults: dict[str, str] = {}

    def day(name: str, plus: int) -> datetime | None:
        try:
            return charts.midnight(date.fromisoformat(fields[name]) + timedelta(days=plus)) if fields[name] else None
        except (ValueError, OverflowError, OSError):
            faults[name] = "Enter a date such as 2026-11-24."
            return None

    state = fields["state"]
    if state and state not in set(JobState):
        faults["state"] = "There is no such state."
    before = query.get("before", "")
    search = Search(
        text=fields["text"],
        state=JobState(state) if state and "state" not in faults else None,
        equipment=fields["equipment"] or None,
        destination=fields["destination"] or None,
        since=day("since", 0),
        until=day("until", 1),
    )
    number = int(before) if before.isdecimal() and len(before) <= len(str(LARGEST_ID)) else LARGEST_ID
    return HistoryQuery(fields, faults, search, number if number < LARGEST_ID else None)


class HistoryRoutes:
    """`/history` and `/charts`."""

    def __init__(self, views: Views, backend: Backend) -> None:
        self._views = views
        self._backend = backend
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/history", self.history, methods=["GET", "HEAD"])
        self.router.add_api_route("/charts", self.charts, methods=["GET", "HEAD"])

    async def history(self, request: Request) -> Response:
        """Show the newest matching jobs."""
        wanted = query_of(request.query_params)
        status = 422 if wanted.faults else 200
        return await self._views.show(request, "history.html", lambda: self._found(wanted), status=status)

    def _found(self, wanted: HistoryQuery) -> Values:
        history = self._backend.store.history
        found = history.search(wanted.search, limit=ROWS, before=wanted.before)
        destinations, equipment = history.recent_names()
        chosen = {wanted.fields["destination"]} - {""}
        return {
            "wanted": wanted,
            "jobs": found.jobs,
            "older": None if found.following is None else wanted.query(found.following),
            "newest": wanted.query(None),
            "cut": found.cut,
            "filtered": any(wanted.fields.values()),
            "states": {state: sentence(word) for state, word in STATES.items()},
            "destinations": sorted({*destinations, *self._backend.destinations(), *chosen}),
            "equipment": equipment,
            "browse": PREFIX if is_installed() else None,
        }

    async def charts(self, request: Request) -> Response:
        """Show the bytes verified in the last days, and the time that quits took."""
        return await self._views.show(request, "charts.html", self._figures)

    def _figures(self) -> Values:
        now, metrics = self._backend.now(), self._backend.store.metrics
        verified = metrics.verified(charts.first_day(now))
        complete = verified.complete_since <= charts.first_day(now)
        return {
            "picture": charts,
            "hours": charts.by_hour(verified.quarters, now),
            "days": charts.by_day(verified.quarters, now),
            "drains": charts.of_drains(metrics.drain_durations(limit=DRAINS)),
            "complete_since": None if complete else verified.complete_since.isoformat(),
            "zone": now.astimezone().tzname() or "local time",
        }
