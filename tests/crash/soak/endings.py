"""How a launch ends: killed at any instant, asked to quit in every way there is, or told by signals.

Each ending returns when the process is gone, and complains when it took too long or ended in a way that it must not.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from tests.crash.soak.book import Book
from tests.crash.soak.scene import SESSION_END_SECONDS, Scene
from tests.integration.api.api import Api
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.domain.quit import QuitOutcome, QuitTrigger
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.server_json import read_server_file

KILLED: Final = -9
LATE_SECONDS: Final = 1.5
"""What a busy machine may add to the end of the session-end window."""
QUIT_PATIENCE_SECONDS: Final = PATIENCE_SECONDS
PROMISE_SECONDS: Final = 3.0
POLL_INTERVAL_SECONDS: Final = 0.1
ANSWERS: Final = ("wait", "wait", "force", "keep_running")


class Endings:
    """Every way to end the launch that runs."""

    def __init__(self, scene: Scene, book: Book, chance: random.Random) -> None:
        self._scene, self._book, self._chance = scene, book, chance
        self._pause = threading.Event()
        self.longest_quit_s = 0.0
        self._kinds: dict[Callable[[], None], int] = {
            self.kill: 40,
            self.kill_while_quitting: 12,
            self.quit_by_command: 8,
            self.force_by_command: 8,
            self.quit_over_http: 6,
            self.quit_and_answer: 10,
            self.terminate: 8,
            self.terminate_twice: 4,
            self.interrupt: 4,
            self.interrupt_then_terminate: 4,
        }

    def end(self) -> bool:
        """End the launch in one way or another; False when somebody chose to keep it running."""
        act = self._chance.choices(list(self._kinds), list(self._kinds.values()))[0]
        self._book.note(f"ending: {act.__name__}")
        began = time.monotonic()
        act()
        if self._scene.process.poll() is None:
            return False
        took = time.monotonic() - began
        status = self._scene.process.returncode
        self._book.note(f"ended with {status} after {took:.2f} s")
        if status == KILLED:
            self._book.count("kills")
        else:
            self._book.count("quits")
            self.longest_quit_s = max(self.longest_quit_s, took)
            if status != 0:
                self._book.violated(f"{act.__name__} ended with status {status}: {self._scene.log()[-600:]}")
        return True

    def kill(self) -> None:
        """SIGKILL, out of the blue."""
        self._scene.process.kill()
        status = self._gone()
        if status != KILLED:
            self._book.violated(f"before it could be killed it had ended with {status}: {self._scene.log()[-600:]}")

    def kill_starting(self) -> None:
        """Start, and SIGKILL before it is ready; it may be faster."""
        process = self._scene.start(ready=False)
        self._pause.wait(self._chance.uniform(0.05, 1.0))
        process.kill()
        if process.wait(PATIENCE_SECONDS) == KILLED:
            self._book.count("kills")
            self._book.count("kills while starting")

    def kill_while_quitting(self) -> None:
        """A quit that is cut off by SIGKILL: at a log-off, systems do just that."""
        self._scene.process.send_signal(self._chance.choice([signal.SIGTERM, signal.SIGINT]))
        self._pause.wait(self._chance.uniform(0.0, 1.5))
        self._scene.process.kill()
        if self._gone() == KILLED:
            self._book.count("kills while quitting")

    def quit_by_command(self) -> None:
        """`exlab-wizard quit` with nobody at the terminal: the window, then force."""
        done = self._scene.call("quit", "--json", timeout=QUIT_PATIENCE_SECONDS)
        self._book.count("quits by command")
        if done.returncode and self._scene.process.poll() is None:
            self._book.note(f"quit: {done.stderr.strip()}")
            self._scene.process.terminate()
        self._gone()

    def force_by_command(self) -> None:
        """`exlab-wizard quit --force`."""
        done = self._scene.call("quit", "--force", "--json", timeout=QUIT_PATIENCE_SECONDS)
        self._book.count("forces by command")
        if done.returncode and self._scene.process.poll() is None:
            self._book.note(f"quit --force: {done.stderr.strip()}")
            self._scene.process.terminate()
        self._gone()

    def quit_over_http(self) -> None:
        """`POST /api/v1/quit`, by force or not."""
        address = read_server_file(self._scene.state / "server.json")
        status = 0
        if address is not None:
            with contextlib.suppress(httpx.HTTPError), Api(address, PATIENCE_SECONDS) as api:
                status = api.post("/quit", {"force": self._chance.random() < 0.3}).status_code
        if status == httpx.codes.ACCEPTED:
            self._book.count("quits over HTTP")
        else:
            self._book.note(f"quit over HTTP: {status}")
            self._scene.process.terminate()
        self._gone()

    def quit_and_answer(self) -> None:
        """Quit as the command does where somebody sits: promise to be there, and answer what is asked."""
        try:
            outcome = self._ask_and_answer()
        except ExlabError as error:
            self._book.note(f"quit_and_answer: {error}")
            self._scene.process.terminate()
            outcome = None
        if outcome is QuitOutcome.KEPT_RUNNING:
            self._book.count("quits taken back")
            return
        self._gone()

    def _ask_and_answer(self) -> QuitOutcome | None:
        with self._scene.store() as store:
            launch = store.launches.open_launch()
            if launch is None:
                self._scene.process.terminate()
                return None
            until = datetime.now(UTC) + timedelta(seconds=PROMISE_SECONDS)
            quit_id = store.quits.request(launch.id, QuitTrigger.CLI, datetime.now(UTC), asker_until=until)
            while self._scene.process.poll() is None:
                view = store.quits.read(quit_id)
                if view.outcome is QuitOutcome.KEPT_RUNNING:
                    return view.outcome
                store.quits.asker_alive(quit_id, datetime.now(UTC) + timedelta(seconds=PROMISE_SECONDS))
                if view.asking:
                    answer = self._chance.choice(ANSWERS)
                    self._book.count(f"answers: {answer}")
                    store.quits.answer(quit_id, answer)
                self._pause.wait(POLL_INTERVAL_SECONDS)  # time: between two looks
        return None

    def terminate(self) -> None:
        """SIGTERM: the session ends, and nobody is asked."""
        began = time.monotonic()
        self._scene.process.terminate()
        self._book.count("SIGTERM")
        self._gone()
        self._in_time(began)

    def terminate_twice(self) -> None:
        """A second signal forces at once."""
        self._scene.process.terminate()
        self._pause.wait(self._chance.uniform(0.0, 1.0))
        self._scene.process.terminate()
        self._book.count("second signals")
        self._gone()

    def interrupt(self) -> None:
        """Ctrl-C where no terminal is: the window, then force."""
        self._scene.process.send_signal(signal.SIGINT)
        self._book.count("SIGINT")
        self._gone()

    def interrupt_then_terminate(self) -> None:
        """The session ends while a quit is under way."""
        self._scene.process.send_signal(signal.SIGINT)
        self._pause.wait(self._chance.uniform(0.0, 1.0))
        began = time.monotonic()
        self._scene.process.terminate()
        self._book.count("second signals")
        self._gone()
        self._in_time(began)

    def _gone(self) -> int:
        try:
            return self._scene.wait(QUIT_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._book.violated(f"a quit did not end within {QUIT_PATIENCE_SECONDS:g} s: {self._scene.log()[-600:]}")
            self._scene.process.kill()
            return self._scene.wait()

    def _in_time(self, began: float) -> None:
        took = time.monotonic() - began
        if took > SESSION_END_SECONDS + LATE_SECONDS:
            self._book.violated(f"gone {took:.2f} s after SIGTERM: {self._scene.log()[-600:]}")
