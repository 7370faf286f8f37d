"""Launches: one row for each start of the application, and the one transaction in which a launch recovers the last.

`recover` only moves rows; the ordinary claim starts the work again. Kill it anywhere and run it again: same result.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from exlab_wizard.crash_points import Point, reached
from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.job import ErrorKind, JobState
from exlab_wizard.domain.outcome import CRASH_LIMIT, LONGEST_WAIT
from exlab_wizard.domain.views import OpenLaunch
from exlab_wizard.store.queue.claims import DUE_NOW, GIVEN_BACK
from exlab_wizard.store.queue.jobs import MOVE_DELAYS
from exlab_wizard.store.queue.sessions import RENEWED
from exlab_wizard.store.sqlite.database import Queries
from exlab_wizard.store.sqlite.statement import Statement
from exlab_wizard.store.sqlite.values import Value, moment, whole
from exlab_wizard.store.tables import (
    IS_ACTIVE,
    IS_DELAYED,
    IS_IN_FLIGHT,
    IS_RESUMABLE,
    ONE,
    installation,
    launches,
    session_leases,
    state,
    sync_jobs,
)

_job = sync_jobs.c
_launch = launches.c
_b = sa.bindparam
_this = sa.update(launches).where(_launch.id == _b("launch"))
# How the launch ended that had the job in flight: `crashed` counts against the job; a machine that went down does not,
# nor does a forced quit that could no longer mark its rows.
LEFT_IN_FLIGHT: Final = Statement(
    sa.select(_launch.id, _launch.end_reason)
    .where(_launch.id.in_(sa.select(_job.launch_id).where(IS_IN_FLIGHT)))
    .order_by(_launch.id)
)
_of_launch = sa.and_(IS_IN_FLIGHT, _job.launch_id == _b("launch"))

CLOSE_DEAD: Final = Statement(
    sa.update(launches)
    .where(_launch.ended_at.is_(None))
    .values(
        ended_at=_b("now"), end_reason=sa.case((_launch.boot_id == _b("boot_id"), "crashed"), else_="host_restarted")
    )
    .returning(_launch.id, _launch.end_reason)
)
FAIL_CRASH_LOOPS: Final = Statement(
    sa.update(sync_jobs)
    .where(_of_launch, _job.crashes + ONE >= sa.literal_column(str(CRASH_LIMIT)))
    .values(
        state=state(JobState.FAILED),
        state_reason=sa.literal_column(f"'failed: {ErrorKind.CRASH_LOOP}'"),
        crashes=_job.crashes + ONE,
        attempts=GIVEN_BACK,
        claim_id=sa.null(),
        finished_at=_b("now"),
        error_kind=ErrorKind.CRASH_LOOP.value,
        error_detail=_b("detail"),
    )
)
REQUEUE_IN_FLIGHT: Final = Statement(
    sa.update(sync_jobs)
    .where(_of_launch)
    .values(
        state=state(JobState.QUEUED),
        state_reason=_b("ended"),
        crashes=_job.crashes + _b("crashed"),
        interruptions=_job.interruptions + _b("interrupted"),
        attempts=GIVEN_BACK,
        claim_id=sa.null(),
        **DUE_NOW,
    )
)
REQUEUE_RESUMABLE: Final = Statement(
    sa.update(sync_jobs)
    .where(IS_RESUMABLE)
    .values(state=state(JobState.QUEUED), state_reason=sa.literal_column("'resumed by the next launch'"))
)
# What was put off by a clock set wrong would wait for years.
LAST_MOMENT: Final = Statement(
    sa.select(sa.func.coalesce(_launch.ended_at, _launch.started_at)).order_by(_launch.id.desc()).limit(ONE)
)
END_ENDLESS_DELAYS: Final = Statement(
    sa.update(sync_jobs).where(IS_DELAYED, _job.not_before > _b("latest")).values(DUE_NOW)
)
RENEW_LEASES: Final = Statement(sa.update(session_leases).where(IS_ACTIVE).values(expires_at=RENEWED))
INSERT: Final = Statement(
    sa.insert(launches)
    .values({name: _b(name) for name in ("host", "boot_id", "pid", "process_started_at", "version", "jobs_resumed")})
    .values(started_at=_b("now"))
    .returning(_launch.id)
)
HEALTHY: Final = Statement(_this.where(_launch.healthy_at.is_(None)).values(healthy_at=_b("now")))
LAST_HEALTH: Final = Statement(
    sa.select(_launch.healthy_at, _launch.end_reason)
    .where(_launch.id < _b("launch"))
    .order_by(_launch.id.desc())
    .limit(_b("count"))
)
OPEN_LAUNCH: Final = Statement(
    sa.select(*(_launch[field.name] for field in fields(OpenLaunch)))
    .where(_launch.ended_at.is_(None))
    .order_by(_launch.id.desc())
    .limit(ONE)
)
DRAIN: Final = Statement(_this.where(_launch.draining_since.is_(None)).values(draining_since=_b("now")))
REOPEN: Final = Statement(_this.values(draining_since=sa.null()))
PAUSE: Final = Statement(_this.where(_launch.paused_since.is_(None)).values(paused_since=_b("now")))
RESUME: Final = Statement(_this.values(paused_since=sa.null()))
IS_PAUSED: Final = Statement(sa.select(_launch.paused_since.is_not(None)).where(_launch.id == _b("launch")))
END: Final = Statement(_this.where(_launch.ended_at.is_(None)).values(ended_at=_b("now"), end_reason=_b("end_reason")))
INSTALLATION: Final = Statement(sa.select(installation.c.id))

CRASH_LOOP_DETAIL: Final = (
    f"The application crashed {CRASH_LIMIT} times while working on this run, without progress in between. "
    "Check the log of those launches, then retry the job."
)


@dataclass(frozen=True, slots=True)
class ThisProcess:
    """What identifies this start of the program; a bare pid would be reused."""

    host: str
    boot_id: str
    pid: int
    process_started_at: str
    version: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a launch found and did: `resumed` jobs are queued again, `crash_loops` failed."""

    launch_id: int
    crashed: bool
    host_restarted: bool
    cut_off: int
    resumed: int
    crash_loops: int
    sessions: int


class Launches(Queries):
    """The table `launches`. Only the holder of the instance lock writes here."""

    def recover(self, process: ThisProcess, now: datetime) -> Recovery:
        """Close dead launches, queue what they left, refresh leases and open this launch, in one transaction."""
        at = to_text(now)
        reached(Point.RECOVERY_BEFORE)
        with self._db.transaction() as transaction:
            last = transaction.run(LAST_MOMENT)
            if last and (ended_at := moment(last[0][0])) > now:  # the clock was set back since, and delays with it
                transaction.change(MOVE_DELAYS, {"step": f"{(now - ended_at).total_seconds():+.3f} seconds"})
            dead = transaction.run(CLOSE_DEAD, {"now": at, "boot_id": process.boot_id})
            reached(Point.RECOVERY_DEAD_CLOSED)
            loops = cut_off = 0
            for launch, ended in transaction.run(LEFT_IN_FLIGHT):
                crashed = ended == "crashed"
                of_launch: dict[str, Value] = {"launch": launch, "ended": ended}
                if crashed:
                    loops += transaction.change(FAIL_CRASH_LOOPS, {**of_launch, "now": at, "detail": CRASH_LOOP_DETAIL})
                budgets: dict[str, Value] = {"crashed": int(crashed), "interrupted": int(not crashed)}
                cut_off += transaction.change(REQUEUE_IN_FLIGHT, of_launch | budgets)
            marked = transaction.change(REQUEUE_RESUMABLE)
            transaction.change(END_ENDLESS_DELAYS, {"latest": to_text(now + LONGEST_WAIT)})
            sessions = transaction.change(RENEW_LEASES, {"now": at})
            opening: dict[str, Value] = {**asdict(process), "now": at, "jobs_resumed": cut_off + marked}
            launch_id = whole(transaction.run(INSERT, opening)[0][0])
            reached(Point.RECOVERY_BEFORE_COMMIT)
        reached(Point.RECOVERY_AFTER)
        reasons = {str(reason) for _, reason in dead}
        return Recovery(
            launch_id=launch_id,
            crashed="crashed" in reasons,
            host_restarted="host_restarted" in reasons,
            cut_off=cut_off,
            resumed=cut_off + marked,
            crash_loops=loops,
            sessions=sessions,
        )

    def mark_healthy(self, launch_id: int, now: datetime) -> None:
        """Record that this launch became healthy."""
        self._db.write(HEALTHY, {"launch": launch_id, "now": to_text(now)})

    def unhealthy_streak(self, launch_id: int, count: int) -> bool:
        """Return whether the `count` launches before this one all crashed without ever becoming healthy."""
        rows = self._db.read(LAST_HEALTH, {"launch": launch_id, "count": count})
        return len(rows) == count and all(healthy is None and reason == "crashed" for healthy, reason in rows)

    def open_launch(self) -> OpenLaunch | None:
        """Return the launch that has not ended."""
        return self._db.first(OpenLaunch, OPEN_LAUNCH)

    def drain(self, launch_id: int, now: datetime) -> None:
        """Close the gate: from this commit on nothing is claimed and no session opens."""
        self._db.write(DRAIN, {"launch": launch_id, "now": to_text(now)})

    def reopen(self, launch_id: int) -> None:
        """Open the gate again."""
        self._db.write(REOPEN, {"launch": launch_id})

    def pause(self, launch_id: int, now: datetime) -> None:
        """Let nothing be claimed from this commit on, until `resume` or the next launch."""
        self._db.write(PAUSE, {"launch": launch_id, "now": to_text(now)})

    def resume(self, launch_id: int) -> None:
        """End the pause."""
        self._db.write(RESUME, {"launch": launch_id})

    def is_paused(self, launch_id: int) -> bool:
        """Return whether this launch is paused."""
        rows = self._db.read(IS_PAUSED, {"launch": launch_id})
        return bool(rows and rows[0][0])

    def end(self, launch_id: int, end_reason: str, now: datetime) -> None:
        """Write the exit receipt; `end_reason` is `drained` or `forced`."""
        self._db.write(END, {"launch": launch_id, "end_reason": end_reason, "now": to_text(now)})

    def installation_id(self) -> str:
        """Return the 16 hexadecimal digits that tell this installation from others on the same NAS."""
        return str(self._db.read(INSTALLATION)[0][0])
