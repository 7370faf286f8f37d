"""What the design promises about jobs, leases, launches and quits, as plain Python over dictionaries.

It is written from the design's words and shares nothing with the program: no SQL, no rule of `domain`, no constant. It
knows what must hold after each call; it does not know how the database does it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

LEGAL: Final = {
    "queued": {"running", "cancelled"},
    "running": {"verifying", "queued", "resumable", "failed", "cancelled"},
    "verifying": {"verified", "queued", "resumable", "failed", "cancelled"},
    "resumable": {"queued", "cancelled"},
    "failed": {"queued", "cancelled"},
    "verified": {"cleaned"},
    "cleaned": set(),
    "cancelled": set(),
}
STATES: Final = tuple(LEGAL)
IN_FLIGHT: Final = frozenset({"running", "verifying"})
ENDED: Final = frozenset({"verified", "cleaned", "failed", "cancelled"})
RETRIES: Final = {"network", "unknown"}
DELAYS: Final = (30, 120, 480, 1800, 7200)
SETTLE_S: Final = 2.0
FILES: Final = {"a.raw": 60, "b.raw": 40}
TOTAL: Final = sum(FILES.values())


class Refused(Exception):  # noqa: N818 - a refusal is no error of the model
    """The rules forbid it, and nothing has changed."""


def text(moment: datetime | None) -> str | None:
    """Return the one text form of a time; what is finer than a millisecond is cut off."""
    if moment is None:
        return None
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


@dataclass
class Job:
    """A run on its way to one destination, with everything that must be true of its row."""

    id: int
    run: str
    destination: str
    priority: int
    enqueued_at: datetime
    session: str | None
    state: str = "queued"
    attempts: int = 0
    interruptions: int = 0
    crashes: int = 0
    not_before: datetime | None = None
    waiting_on: str | None = None
    error: str | None = None
    claim: str | None = None
    launch: int | None = None
    sent: int = 0
    read_back: int = 0
    furthest: int = 0
    has_manifest: bool = False
    passes: int = 0
    moves: list[tuple[str, str]] = field(default_factory=list)

    @property
    def unfinished(self) -> bool:
        """Whether something is still to come of it."""
        return self.state not in ENDED

    @property
    def due(self) -> bool:
        """Whether a worker may take it now, suspects aside."""
        return self.state == "queued" and self.not_before is None

    @property
    def suspect(self) -> bool:
        """Whether it was in flight at so many crashes that it runs beside no other such job."""
        return self.crashes >= 2

    def move(self, state: str) -> None:
        """Go to `state` with what follows from it."""
        if state == self.state:
            return
        if state not in LEGAL[self.state]:
            raise Refused
        self.moves.append((self.state, state))
        if self.state == "failed" and state == "queued":
            self.attempts = self.crashes = 0
            self.error = self.not_before = None
        self.state = state
        if state not in IN_FLIGHT:
            self.claim = None
        if state != "queued":
            self.not_before = self.waiting_on = None

    def give_back(self) -> None:
        """Take the attempt as not made."""
        self.attempts = max(0, self.attempts - 1)

    def files(self) -> dict[str, tuple[str, int]]:
        """Return state and durable bytes of each file, as the last checkpoint left them."""
        found: dict[str, tuple[str, int]] = {}
        start = 0
        for name, size in FILES.items() if self.has_manifest else ():
            done = min(size, max(0, self.sent - start))
            start += size
            state = "pending" if done < size else "verified" if self.read_back >= start else "copied"
            found[name] = (state, done)
        return found


@dataclass
class Lease:
    """Foreground work that a quit waits for."""

    id: str
    ttl_s: float
    expires_at: datetime
    launch: int
    state: str = "active"

    def close(self, state: str) -> bool:
        """End it once; False when it has ended before."""
        if self.state != "active":
            return False
        self.state = state
        return True


@dataclass
class Launch:
    """One start of the program."""

    id: int
    boot: str
    resumed: int
    last_known: datetime
    draining: bool = False
    paused: bool = False
    end: str | None = None

    @property
    def open(self) -> bool:
        """Whether work may begin under it."""
        return self.end is None and not self.draining

    @property
    def claims(self) -> bool:
        """Whether a job may be claimed under it."""
        return self.open and not self.paused


@dataclass
class Quit:
    """Somebody's wish to quit."""

    id: int
    launch: int
    force: bool
    outcome: str | None = None
    prompts: int = 0
    waits: int = 0
    answer: str | None = None


@dataclass(frozen=True)
class Recovered:
    """What a launch must say that it found."""

    launch: int
    crashed: bool
    host_restarted: bool
    cut_off: int
    resumed: int
    crash_loops: int
    sessions: int


@dataclass
class World:
    """Everything that the database must hold."""

    jobs: dict[int, Job] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    launches: dict[int, Launch] = field(default_factory=dict)
    quits: dict[int, Quit] = field(default_factory=dict)

    # jobs

    def enqueue(
        self, run: str, destination: str, now: datetime, priority: int = 0, session: str | None = None
    ) -> tuple[int, bool]:
        """Return the job of this run and destination, and whether it is new."""
        pending = self._pending(run, destination)
        if pending is not None:
            return pending.id, False
        number = max(self.jobs, default=0) + 1
        self.jobs[number] = Job(number, run, destination, priority, now, session)
        return number, True

    def _pending(self, run: str, destination: str) -> Job | None:
        found = [
            job for job in self.jobs.values() if job.unfinished and (job.run, job.destination) == (run, destination)
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def next_due(self) -> Job | None:
        """Return the job that a claim must take: highest priority, then the oldest; of suspects one at a time."""
        suspect_runs = any(job.state in IN_FLIGHT and job.suspect for job in self.jobs.values())
        candidates = [job for job in self.jobs.values() if job.due and not (job.suspect and suspect_runs)]
        return min(candidates, key=lambda job: (-job.priority, job.id), default=None)

    def promote(self, now: datetime) -> int:
        """Let the delays that are over be over."""
        over = [job for job in self.jobs.values() if job.not_before is not None and job.not_before <= now]
        for job in over:
            job.not_before = job.waiting_on = None
        return len(over)

    def take(self, launch: int) -> Job | None:
        """Give the next due job to a worker of `launch`; its claim is the program's to choose."""
        job = self.next_due()
        if job is None or launch not in self.launches or not self.launches[launch].claims:
            return None
        job.move("running")
        job.attempts += 1
        job.launch = launch
        return job

    def held(self, job_id: int, claim: str) -> Job | None:
        """Return the job if `claim` is still the right to write it."""
        job = self.jobs.get(job_id)
        return job if job is not None and job.state in IN_FLIGHT and job.claim == claim else None

    def checkpoint(self, job: Job, sent: int, read_back: int) -> None:
        """Take down what is durable; going further than ever before clears the crashes."""
        job.sent, job.read_back, job.has_manifest = sent, read_back, True
        distance = sent + (read_back if sent == TOTAL else 0)
        if distance > job.furthest:
            job.furthest, job.crashes = distance, 0

    def hold(self, destination: str, why: str, until: datetime) -> None:
        """Let what is due for a destination wait with the job that found it away."""
        for job in self.jobs.values():
            if job.due and job.destination == destination:
                job.not_before, job.waiting_on = until, why

    def release(self, destination: str, why: str) -> None:
        """End a wait."""
        for job in self.jobs.values():
            if job.state == "queued" and (job.destination, job.waiting_on) == (destination, why):
                job.not_before = job.waiting_on = None

    def retry(self, job: Job) -> None:
        """Queue a failed job again; refused in every other state, and beside a pending one of the same run."""
        if job.state != "failed":
            raise Refused
        self.by_hand(job, "queued")

    def by_hand(self, job: Job, state: str, *, claim: str | None = None, launch: int | None = None) -> None:
        """Set a state as an administrator does who types SQL."""
        if state == job.state:
            return
        claims = claim or job.claim
        revives = job.state in ENDED and state not in ENDED and state in LEGAL[job.state]
        if revives and self._pending(job.run, job.destination) is not None:
            raise Refused
        if state in LEGAL[job.state] and state in IN_FLIGHT and not claims:
            raise Refused
        job.move(state)
        if state in IN_FLIGHT:
            job.claim, job.launch = claims, launch or job.launch

    def delete(self, job: Job) -> None:
        """Delete as an administrator does: never what is unfinished, and never the newest number."""
        if job.unfinished:
            raise Refused
        if job.id != max(self.jobs):
            del self.jobs[job.id]

    # how attempts end

    def fail(self, job: Job, kind: str, before: str | None, made: int, now: datetime) -> None:
        """End an attempt with an error: `before` and `made` are the last error and the attempts when it was claimed."""
        delay: int | None = None
        if kind in RETRIES and made <= len(DELAYS):
            delay = DELAYS[max(made, 1) - 1]
        if kind == "hash_mismatch" and before != "hash_mismatch":
            delay = 0
        job.move("failed" if delay is None else "queued")
        job.error = kind
        job.not_before = now + timedelta(seconds=delay) if delay else None

    def defer(self, job: Job, why: str, now: datetime) -> None:
        """End an attempt with a wait, which uses no attempt."""
        waited = max(0.0, (now - job.enqueued_at).total_seconds())
        seconds = {
            "destination_offline": 600.0,
            "destination_full": 60.0,
            "earlier_attempt": 60.0,
            "source_changing": max(SETTLE_S, 0.5, min(60.0, waited / 10)),
        }[why]
        job.move("queued")
        job.give_back()
        job.error, job.waiting_on, job.not_before = None, why, now + timedelta(seconds=seconds)

    def interrupt(self, job: Job) -> None:
        """Cut an attempt off for a quit."""
        job.move("resumable")
        job.give_back()
        job.interruptions += 1

    def interrupt_launch(self, launch: int) -> int:
        """Cut off everything that a launch has in flight."""
        cut = [job for job in self.jobs.values() if job.state in IN_FLIGHT and job.launch == launch]
        for job in cut:
            self.interrupt(job)
        return len(cut)

    # leases

    def count(self, now: datetime) -> tuple[int, int]:
        """Return the leases and the jobs that a quit waits for."""
        leases = sum(lease.state == "active" and lease.expires_at > now for lease in self.leases.values())
        return leases, sum(job.state in IN_FLIGHT for job in self.jobs.values())

    def expire(self, now: datetime) -> int:
        """Close the leases that nobody renewed in time."""
        return sum(lease.expires_at <= now and lease.close("expired") for lease in self.leases.values())

    def move_clock(self, step: timedelta) -> None:
        """Keep every lease as long as it was when the clock was set, and every delay when it was set back."""
        for lease in self.leases.values():
            if lease.state == "active":
                lease.expires_at += step
        if step < timedelta(0):
            self._wait_less(-step)

    def _wait_less(self, by: timedelta) -> None:
        for job in self.jobs.values():
            if job.not_before is not None:
                job.not_before -= by

    # launches

    def recover(self, boot: str, now: datetime) -> Recovered:
        """Take over what dead launches left, and open the next launch."""
        newest = self.launches[max(self.launches)].last_known if self.launches else now
        if newest > now:  # the clock was set back while nobody ran
            self._wait_less(newest - now)
        dead = [launch for launch in self.launches.values() if launch.end is None]
        for launch in dead:
            launch.end, launch.last_known = "crashed" if launch.boot == boot else "host_restarted", now
        loops = cut_off = 0
        for job in self.jobs.values():
            if job.state not in IN_FLIGHT:
                continue
            assert job.launch is not None
            job.give_back()
            if self.launches[job.launch].end != "crashed":
                job.interruptions += 1
            else:
                job.crashes += 1
                if job.crashes >= 3:
                    job.move("failed")
                    job.error = "crash_loop"
                    loops += 1
                    continue
            job.move("resumable")
            cut_off += 1
        waiting = [job for job in self.jobs.values() if job.state == "resumable"]
        for job in waiting:
            job.move("queued")
        active = [lease for lease in self.leases.values() if lease.state == "active"]
        for lease in active:
            lease.expires_at = now + timedelta(seconds=lease.ttl_s)
        number = max(self.launches, default=0) + 1
        self.launches[number] = Launch(number, boot, len(waiting), now)
        ends = {launch.end for launch in dead}
        return Recovered(number, "crashed" in ends, "host_restarted" in ends, cut_off, len(waiting), loops, len(active))
