"""The whole state machine: launches, quits, clocks, leases and backups around the workers and the people.

Each step does the same thing to the store and to the model and compares the answers; `compared` says what must hold
after it.
"""

from __future__ import annotations

import copy
from datetime import timedelta
from pathlib import Path
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from tests.crash.model.reference import Lease, Quit, Refused, World
from tests.crash.model.repairing import Repairing
from tests.crash.model.working import any_one, paths, process
from tests.support import given

from exlab_wizard.domain.quit import QuitOutcome, QuitTrigger
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import RefusedError
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.upkeep.backup import Backups

MOMENTS: Final = [0.25, 1, 10, 29.999, 30, 60, 600, 7200]
QUITS: Final = ["keep running", "drain", "drain", "force", "force with a database that is held"]
ANSWERS: Final = ["force", "wait", "keep_running"]


class StoreMachine(Repairing):
    """Everything that may happen to a database in use."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: tuple[Path, World] | None = None

    # launches

    @initialize()
    def launch_first(self) -> None:
        self._recover(0)

    def _recover(self, at: int) -> None:
        expected = self.world.recover(self.boot, self.now)
        got = given.launch(self.stores[at], self.boot, self.now)
        assert got == Recovery(
            expected.launch,
            expected.crashed,
            expected.host_restarted,
            expected.cut_off,
            expected.resumed,
            expected.crash_loops,
            expected.sessions,
        )

    def has_ended(self) -> bool:
        return self.launch.end is not None

    def runs(self) -> bool:
        return not self.has_ended()

    @precondition(has_ended)
    @rule(at=process, hours=st.sampled_from([0, 0, 5, -5]))
    def launch_again(self, at: int, hours: float) -> None:
        """The clock may have been set while nobody ran who would have noticed."""
        self.now += timedelta(hours=hours)
        self._recover(at)

    @precondition(lambda self: self.runs() and self.world.count(self.now)[1])
    @rule(at=process, deaths=st.sampled_from([1, 1, 3]), machine_too=st.sampled_from([False, False, True]))
    def die_and_launch_again(self, at: int, deaths: int, *, machine_too: bool) -> None:
        """The process is gone without a word, or the machine is; with work in flight each time, if there is any."""
        for death in range(deaths):
            if death:
                self.claim(at)
            if machine_too:
                self.boot = f"boot-{next(self.numbers)}"
            self._recover(at)

    # quits

    @precondition(runs)
    @rule(at=process, how=st.sampled_from(QUITS), launch_again=st.sampled_from([True, True, False]))
    def quit(self, at: int, how: str, *, launch_again: bool) -> None:
        """Close the gate, try it, and go on as `how` says; a drain that is not idle yet goes on draining."""
        store = self.stores[at]
        store.launches.drain(self.launch.id, self.now)
        self.launch.draining = True
        assert store.jobs.claim(self.launch.id, self.now) is None
        self.world.promote(self.now)
        unmarked = False
        match how:
            case "keep running":
                store.launches.reopen(self.launch.id)
                self.launch.draining = False
                self._decide(at, "kept_running")
                return
            case "drain":
                if self.world.count(self.now) != (0, 0):
                    return
                self._end(at, "drained")
            case "force":
                got = store.jobs.interrupt_launch(self.launch.id, "cut off by a quit")
                assert got == self.world.interrupt_launch(self.launch.id)
                self._end(at, "forced")
            case "force with a database that is held":
                unmarked = self.world.count(self.now)[1] > 0
                self._end(at, "forced")
        if launch_again or unmarked:
            self._recover(at)

    @precondition(runs)
    @rule(at=process, paused=st.booleans())
    def pause_or_go_on(self, at: int, *, paused: bool) -> None:
        """Sessions open and runs are queued all the same; nothing is claimed."""
        launches = self.stores[at].launches
        if paused:
            launches.pause(self.launch.id, self.now)
            assert self.stores[at].jobs.claim(self.launch.id, self.now) is None
        else:
            launches.resume(self.launch.id)
        self.launch.paused = paused

    def _end(self, at: int, reason: str) -> None:
        self._decide(at, reason)
        self.stores[at].launches.end(self.launch.id, reason, self.now)
        self.launch.end, self.launch.last_known = reason, self.now

    def _decide(self, at: int, outcome: str) -> None:
        self.stores[at].quits.decide(self.launch.id, QuitOutcome(outcome), self.now)
        for asked in self.world.quits.values():
            if asked.launch == self.launch.id and asked.outcome is None:
                asked.outcome = outcome

    @rule(at=process, pick=any_one, what=st.sampled_from(["ask", "ask by force", "asked", "waited", *ANSWERS]))
    def ask_and_answer(self, at: int, pick: int, what: str) -> None:
        quits = self.stores[at].quits
        if what in {"ask", "ask by force"} or not self.world.quits:
            force = what == "ask by force"
            number = quits.request(self.launch.id, QuitTrigger.CLI, self.now, force=force)
            assert number == max(self.world.quits, default=0) + 1
            self.world.quits[number] = Quit(number, self.launch.id, force)
            return
        asked = self.world.quits[1 + pick % len(self.world.quits)]
        match what:
            case "asked":
                quits.prompted(asked.id, self.now)
                asked.prompts, asked.answer = asked.prompts + 1, None
            case "waited":
                quits.waited(asked.id)
                asked.waits, asked.answer = asked.waits + 1, None
            case "force" | "wait" | "keep_running":
                quits.answer(asked.id, what)
                if asked.outcome is None:
                    asked.answer = what

    # time

    @rule(at=process, seconds=st.sampled_from(MOMENTS), step_hours=st.sampled_from([0, 0, 0, 1, -1, -0.01]))
    def time_passes(self, at: int, seconds: float, step_hours: float) -> None:
        """And sometimes somebody sets the clock; the watchdog notices both."""
        store, step = self.stores[at], timedelta(hours=step_hours)
        self.now += timedelta(seconds=seconds) + step
        if step:
            store.sessions.move_clock(step)
            self.world.move_clock(step)
        assert store.sessions.expire(self.now) == self.world.expire(self.now)
        assert store.jobs.promote(self.now) == (self.world.promote(self.now) > 0)

    # leases

    def has_leases(self) -> bool:
        return bool(self.world.leases)

    def _lease(self, pick: int) -> Lease:
        newest = list(self.world.leases)[:-5:-1]
        return self.world.leases[newest[pick % len(newest)]]

    @rule(at=process, ttl=st.sampled_from([1.0, 60.0, 3600.0]))
    def open_a_lease(self, at: int, ttl: float) -> None:
        name = f"lease-{next(self.numbers)}"
        session = NewSession(SessionKind.RUN, "scan", ttl, id=name)
        try:
            lease = self.stores[at].sessions.open(session, self.launch.id, self.now)
        except RefusedError:
            assert not self.launch.open
            return
        assert self.launch.open
        expected = Lease(name, ttl, self.now + timedelta(seconds=ttl), self.launch.id)
        assert (lease.id, lease.state, lease.expires_at) == (name, "active", expected.expires_at)
        self.world.leases[name] = expected

    @precondition(has_leases)
    @rule(at=process, pick=any_one, again=st.booleans())
    def renew(self, at: int, pick: int, *, again: bool) -> None:
        """Send a heartbeat; or open it again, as a client does that lost the answer."""
        lease, sessions = self._lease(pick), self.stores[at].sessions
        if again:
            got = sessions.open(NewSession(SessionKind.RUN, "scan", 5, id=lease.id), self.launch.id, self.now)
            assert (got.id, got.state, got.expires_at) == (lease.id, lease.state, lease.expires_at)
            return
        alive = lease.state == "active" and lease.expires_at > self.now
        if alive:
            lease.expires_at = self.now + timedelta(seconds=lease.ttl_s)
        assert sessions.renew(lease.id, self.now) == (lease.expires_at if alive else None)

    @precondition(has_leases)
    @rule(at=process, pick=any_one, produced=st.lists(paths, max_size=4))
    def complete_a_lease(self, at: int, pick: int, produced: list[tuple[str, str]]) -> None:
        """Some of its runs may be pending already, and some may come twice."""
        lease = self._lease(pick)
        new = [NewJob(run, destination, session_id=lease.id) for run, destination in produced]
        got = self.stores[at].sessions.complete(lease.id, new, self.now)
        if not lease.close("completed"):
            assert got is None
            return
        assert got is not None
        expected = [self.world.enqueue(run, destination, self.now, 0, lease.id) for run, destination in produced]
        assert [(one.job_id, one.created) for one in got] == expected

    @precondition(has_leases)
    @rule(at=process, pick=any_one, state=st.sampled_from(["abort", "active", "completed", "aborted", "expired"]))
    def end_a_lease(self, at: int, pick: int, state: str) -> None:
        """Abort it, or type a state."""
        lease = self._lease(pick)
        if state == "abort":
            assert self.stores[at].sessions.abort(lease.id, self.now) == lease.close("aborted")
            return

        def by_hand() -> None:
            if state != lease.state and not lease.close(state):
                raise Refused

        self.refused_together(
            lambda: self.typed("UPDATE session_leases SET state = ? WHERE id = ?", state, lease.id), by_hand
        )

    # backups

    @rule(at=process, restore=st.booleans())
    def back_up_or_restore(self, at: int, *, restore: bool) -> None:
        """Nobody runs while a backup is put back; the launch that it holds is taken for dead."""
        if self.saved is None or not restore:
            target = self.state_dir.root / f"backup-{next(self.numbers)}.db"
            Backups(self.state_dir).write(self.stores[at].database, target)
            self.saved = target, copy.deepcopy(self.world)
            return
        source, world = self.saved
        self.close_all()
        kept = Backups(self.state_dir).restore(source, self.now)
        assert kept is not None
        for path in self.state_dir.root.glob(f"{kept.name}*"):
            path.unlink()
        self.open_all()
        self.world = copy.deepcopy(world)
        self._recover(at)
