"""What a killed program leaves half written beside the real thing is removed by the one that comes next."""

from __future__ import annotations

import pytest
from tests.crash.system_calls import looks
from tests.crash.system_calls.scenarios import AddDestination, Backup, DailyBackup, Enqueue, Restore, Scenario, kill_at
from tests.crash.system_calls.stage import Stage

CUTS = [
    (Enqueue(), "unlink", "/.write-test"),
    (AddDestination(), "chmod", ".part"),
    (DailyBackup(), "pwrite64", ".db.part"),
    (Backup(), "fsync", ".db.part-journal"),
    (Restore(), "pwrite64", ".db.restoring"),
    (Restore(), "pwrite64", ".part"),
]


@pytest.mark.sampled(cases=2)
@pytest.mark.parametrize(("scenario", "call", "path"), CUTS, ids=[f"{one.name} {path}" for one, _, path in CUTS])
def test_a_file_that_a_kill_left_half_written_is_gone_after_the_next_act(
    stage: Stage, scenario: Scenario, call: str, path: str
) -> None:
    scenario.prepare(stage)
    process = kill_at(stage, scenario.act, call, path)
    assert any(path in left for left in looks.leftovers(stage))
    assert scenario.afterwards(stage, process) == []
    assert looks.finish(stage) == []
    assert looks.in_the_end(stage, scenario) == []
