"""The settings page: shows the settings, tests destinations, and changes the settings that are safe to change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import ExlabError, SettingsError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.autostart.entry import Autostart, AutostartStatus, autostart_of
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.page.forms import SEE_OTHER, form_of
from exlab_wizard.server.page.settings.form import (
    MOST_HOURS,
    Change,
    destination_change,
    mark_of,
    notifications_change,
    quit_change,
    rows_of,
    shown_destination,
    shown_notifications,
    shown_quit,
)
from exlab_wizard.server.page.views import Values, Views
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.settings import DestinationSettings, Settings
from exlab_wizard.settings_edit import FieldsError, SettingsChange, SettingsChangedError

if TYPE_CHECKING:
    from exlab_wizard.diagnosis.doctor.checkup import CheckResult
    from exlab_wizard.server.page.settings.trials import Trials

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 8.0
"""For the system's start at login."""
LONGEST_NAME: Final = 63
QUIT: Final = "quit"
LOGIN: Final = "login"
NOTIFICATIONS: Final = "notifications"
Name = Annotated[str, Path(max_length=LONGEST_NAME)]


@dataclass(frozen=True, slots=True)
class Sent:
    """A form that was sent: its name, its fields as typed, and their errors."""

    which: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    conflict: str = ""
    trouble: str = ""
    """Why start at login could not be changed."""

    def fields_of(self, which: str, saved: Mapping[str, str]) -> Mapping[str, str]:
        """Return the fields to show in the form `which`, where `saved` is in the file."""
        return self.fields if self.which == which and not self.conflict else saved

    def faults_of(self, which: str) -> Mapping[str, str]:
        """Return the errors to show in the form `which`."""
        return self.faults if self.which == which else {}


@dataclass(frozen=True, slots=True)
class Tried:
    """A destination that was tested, and the findings."""

    name: str = ""
    findings: tuple[CheckResult, ...] = ()
    worst: str = ""


class SettingsRoutes:
    """`/settings`."""

    def __init__(self, views: Views, backend: Backend, pools: ThreadPools) -> None:
        self._views = views
        self._backend = backend
        self._pools = pools
        self._change = SettingsChange(backend.settings)
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route("/settings", self.show, methods=["GET", "HEAD"])
        self.router.add_api_route("/settings/quit", self.save_quit, methods=["POST"])
        self.router.add_api_route("/settings/notifications", self.save_notifications, methods=["POST"])
        self.router.add_api_route("/settings/login", self.switch_login, methods=["POST"])
        self.router.add_api_route("/settings/destinations/{name}", self.save_destination, methods=["POST"])
        self.router.add_api_route("/settings/destinations/{name}/test", self.test, methods=["POST"])

    async def show(self, request: Request) -> Response:
        """Show the settings in the file."""
        return await self._show(request)

    async def save_quit(self, request: Request) -> Response:
        """Save how long a quit waits."""
        form = await form_of(request)
        return await self._save(request, QUIT, form, lambda now: quit_change(form, now.quit))

    async def save_notifications(self, request: Request) -> Response:
        """Save the settings of notifications."""
        form = await form_of(request)
        return await self._save(request, NOTIFICATIONS, form, lambda now: notifications_change(form, now.notifications))

    async def switch_login(self, request: Request) -> Response:
        """Switch start at login on or off."""
        form = await form_of(request)
        wanted = form.get("on") == "true"
        try:
            await self._pools.paths.run(lambda: self._autostart().switch(on=wanted), TIMEOUT_SECONDS)
        except TimeoutError:
            trouble = f"The system did not answer within {elapsed(TIMEOUT_SECONDS)}. Reload this page in a moment."
            return await self._show(request, Sent(LOGIN, trouble=trouble), status=503)
        except ExlabError as error:
            return await self._show(request, Sent(LOGIN, trouble=str(error)), status=409)
        log.info("autostart: switched %s on the page", "on" if wanted else "off")
        return RedirectResponse(f"/settings#{LOGIN}", SEE_OTHER)

    async def save_destination(self, request: Request, name: Name) -> Response:
        """Save bandwidth limit and schedule of a destination."""
        self._known(name)
        form = await form_of(request)

        def change(now: Settings) -> Change:
            destination = now.destinations.get(name)
            if destination is None or len(destination.schedule) > MOST_HOURS:
                raise SettingsError("This destination cannot be changed here. Edit the file in a text editor.")
            return destination_change(name, form, shown_destination(destination))

        return await self._save(request, mark_of(name), form, change)

    async def test(self, request: Request, name: Name) -> Response:
        """Test the destination, as `destination test` does."""
        destination = self._known(name)
        findings, worst = await self._pools.paths.run(lambda: self._trials.of(name, destination))
        return await self._show(request, tried=Tried(name, findings, worst))

    @cached_property
    def _trials(self) -> Trials:
        from exlab_wizard.server.page.settings.trials import Trials  # noqa: PLC0415 - loaded with the first test

        return Trials()

    def _known(self, name: str) -> DestinationSettings:
        destination = self._backend.settings.current.destinations.get(name)
        if destination is None:
            raise ApiError(Code.NOT_FOUND, "This destination is no longer configured.")
        return destination

    async def _save(
        self, request: Request, which: str, form: Mapping[str, str], change_of: Callable[[Settings], Change]
    ) -> Response:
        def save() -> Sent:
            change = Change({}, {}, {})
            try:
                change = change_of(self._change.read().settings)
                if change.faults:
                    return Sent(which, form, change.faults)
                self._change.save(form.get("token", ""), change.values)
            except FieldsError as error:
                return Sent(which, form, change.by_field(error.faults))
            except (SettingsChangedError, SettingsError) as error:
                return Sent(which, conflict=str(error))
            return Sent()

        sent = await self._pools.writes.run(save)
        if sent.which:
            return await self._show(request, sent, status=409 if sent.conflict else 422)
        self._backend.workers.wake()
        return RedirectResponse(f"/settings?{urlencode({'saved': which})}#{which}", SEE_OTHER)

    async def _show(
        self, request: Request, sent: Sent | None = None, tried: Tried | None = None, status: int = 200
    ) -> Response:
        saved = request.query_params.get("saved", "")
        sent, tried = sent or Sent(), tried or Tried()
        return await self._views.show(request, "settings.html", lambda: self._values(sent, tried, saved), status=status)

    def _values(self, sent: Sent, tried: Tried, saved: str) -> Values:
        fault = ""
        try:
            shown = self._change.read()
            settings, token = shown.settings, shown.token
        except SettingsError as error:
            settings, token, fault = self._backend.settings.current, "", str(error)
        destinations, marks = [], (QUIT, NOTIFICATIONS, *map(mark_of, settings.destinations))
        for name, destination in settings.destinations.items():
            mark = mark_of(name)
            fields = sent.fields_of(mark, shown_destination(destination))
            destinations.append((name, mark, destination, fields, sent.faults_of(mark), rows_of(fields)))
        return {
            "settings": settings,
            "token": token,
            "file_fault": fault,
            "config": str(self._backend.settings.path),
            "quit_fields": sent.fields_of(QUIT, shown_quit(settings.quit)),
            "quit_faults": sent.faults_of(QUIT),
            "notification_fields": sent.fields_of(NOTIFICATIONS, shown_notifications(settings.notifications)),
            "notification_faults": sent.faults_of(NOTIFICATIONS),
            "destinations": destinations,
            "most_hours": MOST_HOURS,
            "login": self._login(),
            "state_dir": str(self._backend.state_dir),
            "sent": sent,
            "tried": tried,
            "saved": saved if saved in marks and not sent.which else "",
        }

    def _autostart(self) -> Autostart:
        return autostart_of(StateDir(self._backend.state_dir), self._backend.settings.path)

    def _login(self) -> AutostartStatus | None:
        """Return what starts at login; None if that cannot be read."""
        try:
            return self._autostart().status()
        except ExlabError as error:
            log.info("cannot read what starts at login: %s", error)
            return None
