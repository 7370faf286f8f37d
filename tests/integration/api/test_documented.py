"""What the documentation of the API tells people to type works, and shows the token to nobody."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.api.api import address_of
from tests.support.program import ROOT, Program, until, write_run

pytestmark = pytest.mark.slow


def test_the_shell_commands_work_and_keep_the_token_out_of_all_arguments(program: Program, tmp_path: Path) -> None:
    block = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "api.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)[0]
    *typed, stream = block.splitlines()
    assert "/events" in stream  # it never ends
    run = write_run(tmp_path / "run-17", {"a.raw": 1000})
    script = "\n".join(typed).replace("/data/run-17", str(run))
    commands = tmp_path / "commands"
    commands.mkdir()
    curl = shutil.which("curl")
    assert curl is not None
    program_itself = f"{sys.executable} -m exlab_wizard --state-dir {program.state}"
    for name, real in (("curl", curl), ("python3", sys.executable), ("exlab-wizard", program_itself)):
        told = f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/arguments\nexec {real} "$@"\n'
        (commands / name).write_text(told, "utf-8")
        (commands / name).chmod(0o700)
    program.start()
    token = address_of(program).token
    environment = program.environment | {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(["/bin/sh", "-euc", script], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    drain, end = json.JSONDecoder().raw_decode(ran.stdout)
    assert drain["phase"] == "running"
    assert json.loads(ran.stdout[end:])["run_path"] == str(run)
    until(lambda: program.job_state() == "verified", what="the run that was handed in")
    arguments = (tmp_path / "arguments").read_text("utf-8")
    assert "/api/v1/jobs" in arguments
    assert token not in arguments
