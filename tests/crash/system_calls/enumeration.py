"""Counts the crash points of a scenario, kills at those it is given, and says for each what became of it.

A kill counts only when the process died of SIGKILL and the shim has written where. A point that a replay never
reaches is reported as that: neither a success nor a violation.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.crash.system_calls import looks
from tests.crash.system_calls.crash_points import Aim, Point, at
from tests.crash.system_calls.scenarios import Scenario
from tests.crash.system_calls.stage import Process, Stage
from tests.support.nursery import Nursery
from tests.support.program import picture


@dataclass(slots=True)
class Tally:
    """What a number of kills came to."""

    landed: list[Point] = field(default_factory=list)
    beyond: list[Aim] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        calls = ", ".join(f"{call} {count}" for call, count in sorted(Counter(p.call for p in self.landed).items()))
        return (
            f"{len(self.landed)} landed, {len(self.beyond)} beyond the end, {len(self.violations)} violations; {calls}"
        )


class Enumeration:
    """One act of a scenario, on one prepared stage, killed as often as wanted."""

    def __init__(self, scenario: Scenario, prepared: Stage, name: str) -> None:
        """Count the points of the act on a copy of `prepared`; without a kill all must be well."""
        self.scenario = scenario
        self.name = name
        self._prepared = prepared
        self._replay = prepared.home / "replay"
        self._sources = picture(self._prepared.runs)
        stage = self.replay()
        process = scenario.act(stage)
        assert process.end() == 0, process.output.logged()
        self.all_points = stage.points()
        # A kill around a line of the log tells nothing that one around the work beside it does not.
        points = scenario.points(self.all_points, stage.marks)
        self.points = [point for point in points if not point.path.startswith(str(stage.state / "logs"))]
        assert not [str(point) for point in self.all_points if point.path.startswith(str(stage.runs))]
        wrong = [*scenario.afterwards(stage, process), *looks.finish(stage), *looks.in_the_end(stage, scenario)]
        assert wrong == [], f"{name}, without a kill: {wrong}"

    @classmethod
    def of(cls, scenario: Scenario, home: Path, nursery: Nursery) -> Self:
        """Prepare `scenario` in `home`, which does not exist yet."""
        prepared = Stage(home, nursery)
        scenario.prepare(prepared)
        return cls(scenario, prepared, scenario.name)

    def after(self, aim: Aim) -> Enumeration:
        """Return the enumeration of the same act on what a kill of it has left."""
        stage = self.replay()
        stage.aim = aim
        assert self.scenario.act(stage).end() == -signal.SIGKILL, f"{self.name}: not killed at {aim}"
        (landed,) = stage.points()
        left = stage.copy_to(self._prepared.home / "again")
        return Enumeration(self.scenario, left, f"{self.name}, after a kill at {landed}")

    def replay(self) -> Stage:
        """Return a fresh copy of what was prepared, in the place of the last one."""
        return self._prepared.copy_to(self._replay)

    def kill_at(self, aims: Iterable[Aim]) -> Tally:
        """Kill once at each of `aims`, and look at what follows."""
        tally = Tally()
        for aim in aims:
            self._kill(aim, tally)
        if picture(self._prepared.runs) != self._sources:
            tally.violations.append(f"{self.name}: a source has changed")
        return tally

    def _played(self, aim: Aim) -> tuple[Aim, Stage, Process, int]:
        """Play the act with a kill at `aim`, or at an earlier point where the replay never comes to that one.

        Racing threads do not always need as many calls, and a quit may find its copy less far than the first time.
        """
        while True:
            stage = self.replay()
            stage.aim = aim
            process = self.scenario.act(stage)
            status = process.end()
            earlier = self._earlier(aim)
            if status != 0 or stage.points() or earlier is None:
                return aim, stage, process, status
            aim = earlier

    def _earlier(self, aim: Aim) -> Aim | None:
        """Return an aim at a point that was enumerated before that of `aim`, None where there is none."""
        index = max((n for n, point in enumerate(self.points) if at(point, after=aim.after) == aim), default=0)
        return at(self.points[index * 2 // 3], after=aim.after) if index else None

    def _kill(self, aim: Aim, tally: Tally) -> None:
        scenario = self.scenario
        aim, stage, process, status = self._played(aim)
        landed = stage.points()
        if status == -signal.SIGKILL and [point.call for point in landed] == [aim.call]:
            tally.landed += landed
            where = f"{self.name}, {'after' if aim.after else 'before'} {landed[0]}"
        elif status == 0 and not landed:
            tally.beyond.append(aim)
            where = f"{self.name}, never at {aim}"
        else:
            tally.violations.append(f"{self.name} at {aim}: ended with {status}: {process.output.logged()[-300:]}")
            return
        wrong = looks.at_once(stage, scenario)
        try:
            wrong += scenario.afterwards(stage, process)
            wrong += looks.finish(stage)
            wrong += looks.in_the_end(stage, scenario)
        except AssertionError as error:
            wrong.append(str(error))
        tally.violations += [f"{where}: {one}" for one in wrong]
