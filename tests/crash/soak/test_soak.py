"""A short soak, so that the long one works when it is wanted: `make soak`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.crash.soak import endings
from tests.crash.soak.scene import Scene
from tests.crash.soak.soak import Soak
from tests.support.program import PATIENCE_SECONDS

SECONDS = 15.0


@pytest.mark.sampled(cases=0)
@pytest.mark.slow
def test_nothing_is_lost_doubled_or_damaged_under_kills_quits_and_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How soon a process is gone, `make soak` holds on a machine that does nothing else.
    monkeypatch.setattr(endings, "LATE_SECONDS", PATIENCE_SECONDS)
    seed = random.SystemRandom().randrange(1 << 32)
    with Scene(tmp_path) as scene:
        report = Soak(scene, seed, SECONDS).run()
    assert report.violations == [], f"seed {seed}\n{(tmp_path / 'soak.log').read_text('utf-8')}"
    assert report.counts["kills"] + report.counts["quits"] >= 3
    assert report.counts["runs handed in"] >= 10
