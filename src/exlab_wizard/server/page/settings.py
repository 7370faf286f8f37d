"""The settings: seen, tried out, and, those that are safe, changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from exlab_wizard.errors import ExlabError, SettingsError
from exlab_wizard.runtime.at_login import LoginStart
from exlab_wizard.runtime.doctor import share
from exlab_wizard.runtime.doctor.checkup import Check, Finding, bad, check_up, worst
from exlab_wizard.runtime.settings_change import FieldsError, SettingsChange, SettingsChangedError
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.lanes import Lanes
from exlab_wizard.server.page.forms import SEE_OTHER, form_of
from exlab_wizard.server.page.settings_form import (
    Change,
    destination_change,
    is_known,
    quit_change,
    rows_of,
    shown_destination,
    shown_quit,
)
from exlab_wizard.server.page.views import Values, Views
from exlab_wizard.settings import DestinationSettings

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 8.0
"""For a test of a destination."""
LONGEST_NAME: Final = 63
QUIT: Final = "quit"
LOGIN: Final = "login"
Name = Annotated[str, Path(max_length=LONGEST_NAME)]


@dataclass(frozen=True, slots=True)
class Sent:
    """A form that was sent: which, its fields as they were typed, and what is wrong with them."""

    which: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    conflict: str = ""
    trouble: str = ""
    """Why the start at log-in could not be switched."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A destination that was tried out, and what was found."""

    name: str = ""
    findings: tuple[Finding, ...] = ()


class SettingsRoutes:
    """`/settings`."""

    def __init__(self, views: Views, backend: Backend, lanes: Lanes) -> None:
        """Build the router."""
        self._views = views
        self._backend = backend
        self._lanes = lanes
        self._change = SettingsChange(backend.settings)
        self._trials = Trials()
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/settings", self.look, methods=["GET", "HEAD"])
        self.router.add_api_route("/settings/quit", self.save_quit, methods=["POST"])
        self.router.add_api_route("/settings/login", self.switch_login, methods=["POST"])
        self.router.add_api_route("/settings/destinations/{name}", self.save_destination, methods=["POST"])
        self.router.add_api_route("/settings/destinations/{name}/test", self.test, methods=["POST"])

    async def look(self, request: Request) -> Response:
        """Show them as the file has them."""
        return await self._show(request)

    async def save_quit(self, request: Request) -> Response:
        """Save how long a quit waits."""
        form = await form_of(request)
        return await self._save(request, QUIT, form, quit_change(form))

    async def switch_login(self, request: Request) -> Response:
        """Let the application start at log-in, or not."""
        form = await form_of(request)
        wanted = form.get("on") == "true"
        try:
            await self._lanes.paths.run(lambda: self._backend.at_login.switch(on=wanted), PATIENCE_SECONDS)
        except TimeoutError:
            trouble = f"The system did not answer within {PATIENCE_SECONDS:g} s. Look at the page again in a moment."
            return await self._show(request, Sent(LOGIN, trouble=trouble), status=503)
        except ExlabError as error:
            return await self._show(request, Sent(LOGIN, trouble=str(error)), status=409)
        return RedirectResponse(f"/settings#{LOGIN}", SEE_OTHER)

    async def save_destination(self, request: Request, name: Name) -> Response:
        """Save limit and hours of a destination."""
        self._known(name)
        form = await form_of(request)
        return await self._save(request, name, form, destination_change(name, form))

    async def test(self, request: Request, name: Name) -> Response:
        """Try the destination out, as `destination test` does."""
        destination = self._known(name)
        findings = await self._lanes.paths.run(lambda: tuple(self._trials.of(name, destination)))
        return await self._show(request, tried=Tried(name, findings))

    def _known(self, name: str) -> DestinationSettings:
        destination = self._backend.settings.current.destinations.get(name)
        if destination is None:
            raise ApiError(Code.NOT_FOUND, "There is no such destination any more.")
        return destination

    async def _save(self, request: Request, which: str, form: Mapping[str, str], change: Change) -> Response:
        def save() -> Sent:
            try:
                self._change.save(form.get("token", ""), change.values)
            except FieldsError as error:
                return Sent(which, form, change.told(error.faults))
            except (SettingsChangedError, SettingsError) as error:
                return Sent(which, conflict=str(error))
            return Sent()

        sent = Sent(which, form, change.faults) if change.faults else await self._lanes.writes.run(save)
        if sent.which:
            return await self._show(request, sent, status=409 if sent.conflict else 422)
        self._backend.workers.wake()
        return RedirectResponse(f"/settings?{urlencode({'saved': which})}#{which}", SEE_OTHER)

    async def _show(
        self, request: Request, sent: Sent | None = None, tried: Tried | None = None, status: int = 200
    ) -> Response:
        saved = request.query_params.get("saved", "")
        return await self._views.show(
            request,
            "settings.html",
            lambda: self._values(sent or Sent(), tried or Tried(), saved),
            status=status,
        )

    def _values(self, sent: Sent, tried: Tried, saved: str) -> Values:
        fault = ""
        try:
            shown = self._change.read()
            settings, token = shown.settings, shown.token
        except SettingsError as error:
            settings, token, fault = self._backend.settings.current, "", str(error)
        destinations = []
        for name, destination in settings.destinations.items():
            fields = sent.fields if sent.which == name and not sent.conflict else shown_destination(destination)
            faults = sent.faults if sent.which == name else {}
            destinations.append((name, destination, fields, faults, rows_of(fields)))
        return {
            "settings": settings,
            "token": token,
            "file_fault": fault,
            "config": str(self._backend.settings.path),
            "quit_fields": sent.fields if sent.which == QUIT and not sent.conflict else shown_quit(settings.quit),
            "quit_faults": sent.faults if sent.which == QUIT else {},
            "destinations": destinations,
            "login": self._login(),
            "sent": sent,
            "tried": tried,
            "worst": worst(tried.findings).value,
            "saved": saved if is_known(saved, list(settings.destinations)) and not sent.which else "",
        }

    def _login(self) -> LoginStart | None:
        """Return how the start at log-in stands; None where that cannot be told."""
        try:
            return self._backend.at_login.standing()
        except ExlabError as error:
            log.info("whether it starts at log-in cannot be told: %s", error)
            return None


class Trials:
    """Tries of destinations, one of each at a time: a share that hangs keeps the thread of one of them, not of all."""

    def __init__(self) -> None:
        """Nothing is being tried."""
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def of(self, name: str, destination: DestinationSettings) -> Iterator[Finding]:
        """Yield what is found about the destination, within `PATIENCE_SECONDS`."""
        with self._lock:
            if name in self._under_way:
                yield bad("answers", "an earlier try has not ended yet", share.REMEDY)
                return
            self._under_way.add(name)

        def look() -> Iterator[Finding]:
            try:
                yield from share.examine(destination.folder, destination.marker)
            finally:
                with self._lock:
                    self._under_way.discard(name)

        yield from check_up([Check("answers", look, share.REMEDY, PATIENCE_SECONDS)])
