"""The demo is what a new user sees first: it must hold on every machine that passes the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.program import PATIENCE_SECONDS


@pytest.mark.slow
def test_the_demo_kills_resumes_and_verifies_with_the_real_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-m", "exlab_wizard", "demo", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=4 * PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["kill_status"] in (-9, 1)
    assert 0 < facts["bytes_at_kill"] < facts["bytes"]
    # At most 64 MiB are sent again: the checkpoints of the row were durable when the kill came.
    assert facts["bytes_resumed"] >= facts["bytes_at_kill"] - (64 << 20)
    assert facts["bytes_resumed"] > 0
    assert (facts["resumed"], facts["forced_state"], facts["forced_receipt"]) == (1, "resumable", "forced")
    assert facts["bytes_resumed_after_force"] > 0
    assert facts["states"] == ["verified", "verified"]
    assert facts["files_checked"] > 300
    assert list(tmp_path.glob("exlab-wizard-demo-*")) == []
