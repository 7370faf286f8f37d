"""`quit`: requests a quit of the running application, prints what it waits for, and prompts at this terminal.

The request is a row, which the application notices. While a person can answer here, this process renews its promise to
prompt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import click

from exlab_wizard.cli.options import Locations, not_running
from exlab_wizard.cli.terminal.output import emit, example, json_option, note, say
from exlab_wizard.cli.terminal.words import blocker_line
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
_RENEW_INTERVAL_SECONDS: Final = 1.0
_ALIVE_INTERVAL_SECONDS: Final = 0.5
_NOTE_INTERVAL_SECONDS: Final = 5.0
_START_TIMEOUT_SECONDS: Final = 15.0
_DAY_SECONDS: Final = 86_400


@click.command(
    "quit", epilog=example("exlab-wizard quit", "exlab-wizard quit --wait-for 60", "exlab-wizard quit --force")
)
@click.option(
    "--force", is_flag=True, help="Do not wait: work in flight is checkpointed and resumes at the next launch."
)
@click.option(
    "--wait-for",
    metavar="SECONDS",
    type=click.FloatRange(0, _DAY_SECONDS),
    help="Wait at most this long, then exit with status 1 while the quit continues.",
)
@json_option
@click.pass_obj
def command(locations: Locations, *, force: bool, wait_for: float | None, as_json: bool) -> None:
    """Quit the running application: no new work starts, work in flight may finish, and no pending work is lost.

    If that takes longer than the quit window, you are prompted here to force the quit, wait, or keep running. Exit
    status 3: not running; 4: a user chose to keep it running.
    """
    if not is_running(locations.state_dir):
        raise not_running(locations)
    began = time.monotonic()
    with opened(locations.state_dir) as store:
        request = _Quit(store, lambda: is_running(locations.state_dir), force=force)
        try:
            outcome = request.follow(began + wait_for if wait_for is not None else None)
        except KeyboardInterrupt:
            note("the quit continues; check it with: exlab-wizard status")
            raise
    if as_json:
        took = round(time.monotonic() - began, 3)
        emit({"outcome": outcome, "quit_id": request.id, "launch_id": request.launch_id, "took_s": took})
    if outcome is QuitOutcome.KEPT_RUNNING:
        raise RefusedError("exlab-wizard was kept running; the quit was cancelled")
    if not as_json:
        say(_ENDS.get(outcome, "exlab-wizard exited"))


class _Quit:
    """One quit, as the process that requested it follows it."""

    def __init__(self, store: Store, alive: Callable[[], bool], *, force: bool) -> None:
        self._store, self._alive, self._force = store, alive, force
        self._can_prompt = not force and TerminalPrompt().available()
        self._renewed = self._noted = self._probed = time.monotonic()
        self._request(self._launch())

    def _launch(self) -> OpenLaunch:
        """Return the running launch; wait for one that is still starting."""
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while True:
            launch = self._store.launches.open_launch()
            if launch is not None:
                return launch
            if not self._alive() or time.monotonic() > deadline:
                raise ApplicationNotRunningError("the application exited or did not start; there is nothing to quit")
            time.sleep(POLL_INTERVAL_SECONDS)

    def _request(self, launch: OpenLaunch) -> None:
        now = SystemClock().now()
        until = now + timedelta(seconds=_PROMISE_SECONDS) if self._can_prompt else None
        self.launch_id = launch.id
        self.id = self._store.quits.request(launch.id, QuitTrigger.CLI, now, force=self._force, asker_until=until)

    def follow(self, deadline: float | None) -> QuitOutcome | None:
        """Return the outcome once the application has exited or keeps running; None if it died before.

        Raises:
            ExlabError: it takes longer than `deadline`.
        """
        while True:
            view = self._store.quits.read(self.id)
            if view.outcome is QuitOutcome.KEPT_RUNNING or self._gone(view):
                return view.outcome
            if deadline is not None and time.monotonic() >= deadline:
                left = "; ".join(blocker_line(blocker) for blocker in self._store.drain.blockers())
                msg = f"the quit has not finished yet and continues. Waiting for: {left or 'its last steps'}"
                raise ExlabError(msg)
            if view.outcome is None:
                self._renew_promise()
                if view.asking and self._can_prompt:
                    self._prompt()
                self._note_blockers()
            time.sleep(POLL_INTERVAL_SECONDS)

    def _gone(self, view: QuitView) -> bool:
        """Return whether the launch of the request is over; checks the lock rarely, since a check takes it."""
        launch = self._store.launches.open_launch()
        if launch is not None and launch.id != self.launch_id:
            if view.outcome is None:
                # The request named a dead launch; the living one has only now started.
                self._request(launch)
                return False
            return True
        if launch is not None and time.monotonic() - self._probed < _ALIVE_INTERVAL_SECONDS:
            return False
        self._probed = time.monotonic()
        return not self._alive()

    def _renew_promise(self) -> None:
        if self._can_prompt and time.monotonic() - self._renewed >= _RENEW_INTERVAL_SECONDS:
            self._renewed = time.monotonic()
            until = SystemClock().now() + timedelta(seconds=_PROMISE_SECONDS)
            self._store.quits.asker_alive(self.id, until)

    def _prompt(self) -> None:
        def still_needed() -> bool:
            self._renew_promise()
            return self._store.quits.read(self.id).asking and self._alive()

        answer = asyncio.run(_answer(self._status, still_needed))
        if answer is None:
            return
        self._store.quits.answer(self.id, answer)
        # The application reads the answer from the row; until then the prompt is not repeated.
        deadline = time.monotonic() + _PROMISE_SECONDS
        while time.monotonic() < deadline and self._store.quits.read(self.id).asking:
            time.sleep(POLL_INTERVAL_SECONDS)

    def _status(self) -> QuitStatus:
        return QuitStatus(self._store.drain.count(SystemClock().now()), self._store.drain.blockers())

    def _note_blockers(self) -> None:
        """Print from time to time what the quit waits for."""
        if time.monotonic() - self._noted < _NOTE_INTERVAL_SECONDS:
            return
        self._noted = time.monotonic()
        for blocker in self._store.drain.blockers():
            note(f"waiting for {blocker_line(blocker)}")


async def _answer(status: Callable[[], QuitStatus], still_needed: Callable[[], bool]) -> QuitAnswer | None:
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
    QuitOutcome.DRAINED: "exlab-wizard has quit; all work in flight is finished",
    QuitOutcome.FORCED: "exlab-wizard was forced to quit; work in flight resumes at the next launch",
    None: "exlab-wizard ended unexpectedly; the next launch resumes its work",
}
