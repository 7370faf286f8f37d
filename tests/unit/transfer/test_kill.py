"""A real process, a real SIGKILL in the middle of a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.transfer.world import World

from exlab_wizard.domain.files import FileRecord, FileState

MIB = 1 << 20
CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tests.unit.transfer.world import World

world = World(Path(sys.argv[1]))

def say(files):
    for row in files:
        print(json.dumps(asdict(row)), flush=True)

world.checkpoints.after_checkpoint = say
world.sync()
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_mid_file_resumes_without_resending_finished_bytes(world: World) -> None:
    world.big("big.dat", 128)
    world.write("done.dat")
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    command = [sys.executable, "-c", CHILD, str(world.home)]
    said: list[FileRecord] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(FileRecord(**{**(row := json.loads(line)), "state": FileState(row["state"])}))
            if said[-1].path == "big.dat" and said[-1].bytes_done >= 20 * MIB:
                child.kill()
    assert child.returncode == -9
    assert not world.final.exists()
    world.checkpoints.rows = {row.path: row for row in said}
    last = world.checkpoints.rows["big.dat"]
    assert last.state is FileState.PENDING
    assert 20 * MIB <= last.bytes_done < 128 * MIB
    assert (world.incoming / "big.dat").stat().st_size - last.bytes_done <= 64 * MIB
    world.sync()
    assert world.checkpoints.progress[0].bytes_resumed == last.bytes_done + 4
    assert world.sha256sum_passes()
