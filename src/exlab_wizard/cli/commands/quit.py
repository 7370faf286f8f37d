"""`quit`: ask the running application to quit, show what it waits for, put its question to the person at the terminal.

The request is a row; the application notices it by itself. As long as somebody can answer here, this process renews its
promise to ask.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.cli.terminal.words import blocking
from exlab_wizard.domain.quit import QuitAnswer, QuitOutcome, QuitStatus, QuitTrigger
from exlab_wizard.domain.views import OpenLaunch
from exlab_wizard.errors import ApplicationNotRunningError, ExlabError, RefusedError
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.instance_lock import is_running
from exlab_wizard.process.open_store import opened
from exlab_wizard.store.queue.quits import QuitView
from exlab_wizard.store.store import Store
from exlab_wizard.tray.quit_prompts import TerminalPrompt

POLL_INTERVAL_SECONDS: Final = 0.1
_PROMPT_POLL_INTERVAL_SECONDS: Final = 0.2
_PROMISE_SECONDS: Final = 5.0
_RENEW_SECONDS: Final = 1.0
_ALIVE_SECONDS: Final = 0.5
_TELL_SECONDS: Final = 5.0
_START_SECONDS: Final = 15.0
_DAY_SECONDS: Final = 86_400


class StillDrainingError(ExlabError):
    """The quit goes on, but not within the time that was given."""


@click.command(
    "quit", epilog=example("exlab-wizard quit", "exlab-wizard quit --wait-for 60", "exlab-wizard quit --force")
)
@click.option(
    "--force", is_flag=True, help="Do not wait: what is in flight is checkpointed and resumes at the next launch."
)
@click.option(
    "--wait-for",
    metavar="SECONDS",
    type=click.FloatRange(0, _DAY_SECONDS),
    help="Look on for so long at most; then status 1, while the quit goes on.",
)
@json_option
@click.pass_obj
def command(locations: Locations, *, force: bool, wait_for: float | None, as_json: bool) -> None:
    """Quit the running application: no new work begins, what is in flight may end, nothing pending is lost.

    If that takes longer than the quit window, the choice is put to you here: force, wait, or keep running. Status 3: it
    does not run. Status 4: somebody chose to keep it running.
    """
    if not is_running(locations.state_dir):
        msg = f"not running for the state dir {str(locations.state_dir.root)!r}; `exlab-wizard run` starts it"
        raise ApplicationNotRunningError(msg)
    began = time.monotonic()
    with opened(locations.state_dir) as store:
        asked = _Quit(store, lambda: is_running(locations.state_dir), force=force)
        try:
            outcome = asked.follow(began + wait_for if wait_for is not None else None)
        except KeyboardInterrupt:
            note("the quit goes on: exlab-wizard status shows it")
            raise
    if as_json:
        took = round(time.monotonic() - began, 3)
        emit({"outcome": outcome, "quit_id": asked.id, "launch_id": asked.launch_id, "took_s": took})
    if outcome is QuitOutcome.KEPT_RUNNING:
        msg = "kept running; the quit was called off"
        raise RefusedError(msg)
    if not as_json:
        say(_ENDS.get(outcome, "exlab-wizard ended"))


class _Quit:
    """One quit as its asker follows it."""

    def __init__(self, store: Store, alive: Callable[[], bool], *, force: bool) -> None:
        self._store, self._alive, self._force = store, alive, force
        self._askable = not force and TerminalPrompt().available()
        self._renewed = self._told = self._probed = time.monotonic()
        self._request(self._launch())

    def _launch(self) -> OpenLaunch:
        """Return the running launch; one that is just starting is waited for."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            launch = self._store.launches.open_launch()
            if launch is not None:
                return launch
            if not self._alive() or time.monotonic() > deadline:
                msg = "it ended, or did not come up; there is nothing to quit"
                raise ApplicationNotRunningError(msg)
            time.sleep(POLL_INTERVAL_SECONDS)

    def _request(self, launch: OpenLaunch) -> None:
        now = SystemClock().now()
        until = now + timedelta(seconds=_PROMISE_SECONDS) if self._askable else None
        self.launch_id = launch.id
        self.id = self._store.quits.request(launch.id, QuitTrigger.CLI, now, force=self._force, asker_until=until)

    def follow(self, deadline: float | None) -> QuitOutcome | None:
        """Return the outcome once the application is gone or keeps running; None when it died on the way.

        Raises:
            StillDrainingError: it takes longer than `deadline`.
        """
        while True:
            view = self._store.quits.read(self.id)
            if view.outcome is QuitOutcome.KEPT_RUNNING or self._gone(view):
                return view.outcome
            if deadline is not None and time.monotonic() >= deadline:
                raise self._still_draining()
            if view.outcome is None:
                self._promise()
                if view.asking and self._askable:
                    self._ask()
                self._tell()
            time.sleep(POLL_INTERVAL_SECONDS)

    def _gone(self, view: QuitView) -> bool:
        """Return whether the launch that was asked is over; looks at the lock seldom, since looking takes it."""
        launch = self._store.launches.open_launch()
        if launch is not None and launch.id != self.launch_id:
            if view.outcome is None:
                # The row we asked was of a dead launch; the living one has only now come up.
                self._request(launch)
                return False
            return True
        ended = launch is None
        if not ended and time.monotonic() - self._probed < _ALIVE_SECONDS:
            return False
        self._probed = time.monotonic()
        return not self._alive()

    def _promise(self) -> None:
        if self._askable and time.monotonic() - self._renewed >= _RENEW_SECONDS:
            self._renewed = time.monotonic()
            until = SystemClock().now() + timedelta(seconds=_PROMISE_SECONDS)
            self._store.quits.asker_alive(self.id, until)

    def _ask(self) -> None:
        def stands() -> bool:
            self._promise()
            return self._store.quits.read(self.id).asking and self._alive()

        answer = asyncio.run(_prompt(self._standing, stands))
        if answer is None:
            return
        self._store.quits.answer(self.id, answer)
        # The application takes the answer down from the row; until then the question is not asked again.
        deadline = time.monotonic() + _PROMISE_SECONDS
        while time.monotonic() < deadline and self._store.quits.read(self.id).asking:
            time.sleep(POLL_INTERVAL_SECONDS)

    def _standing(self) -> QuitStatus:
        return QuitStatus(self._store.drain.count(SystemClock().now()), self._store.drain.blockers())

    def _tell(self) -> None:
        """Say now and then what is waited for."""
        if time.monotonic() - self._told < _TELL_SECONDS:
            return
        self._told = time.monotonic()
        for blocker in self._store.drain.blockers():
            note(f"waiting for {blocking(blocker)}")

    def _still_draining(self) -> StillDrainingError:
        left = "; ".join(blocking(blocker) for blocker in self._store.drain.blockers())
        return StillDrainingError(f"still draining; it goes on by itself. It waits for: {left or 'its last steps'}")


async def _prompt(status: Callable[[], QuitStatus], still_needed: Callable[[], bool]) -> QuitAnswer | None:
    """Prompt at this terminal and return the answer; None once the application no longer needs one."""
    prompt = asyncio.ensure_future(TerminalPrompt().ask(status))
    try:
        while not prompt.done():
            if not still_needed():
                return None
            await asyncio.wait([prompt], timeout=_PROMPT_POLL_INTERVAL_SECONDS)
        return prompt.result()
    finally:
        prompt.cancel()
        await asyncio.gather(prompt, return_exceptions=True)


_ENDS: Final[dict[QuitOutcome | None, str]] = {
    QuitOutcome.DRAINED: "exlab-wizard quit; all work in flight was done",
    QuitOutcome.FORCED: "exlab-wizard quit by force; what was in flight resumes at the next launch",
    None: "exlab-wizard ended without a receipt; the next launch resumes what it left",
}
