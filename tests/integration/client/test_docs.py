from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.program import ROOT

from exlab_wizard import client
from exlab_wizard.client import Client, Session
from exlab_wizard.testing import Lab

PAGE = (ROOT / "docs" / "client.md").read_text("utf-8")


def public(kind: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(kind) if not name.startswith("_")]


@pytest.mark.parametrize("name", sorted({*public(Client), *public(Session)}))
def test_everything_that_a_program_may_use_is_documented(name: str) -> None:
    assert re.search(rf"\b{name}\b", PAGE)


@pytest.mark.parametrize("name", [name for name in client.__all__ if name.endswith("Error")])
def test_every_error_that_it_may_meet_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_importing_it_loads_nothing_heavy() -> None:
    probe = (
        "import sys, exlab_wizard.client\n"
        "heavy = {'sqlalchemy', 'pydantic', 'fastapi', 'httpx', 'asyncio', 'click', 'rich', 'psutil', 'filelock'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.slow
def test_the_acquisition_script_does_what_the_page_says(application: Lab, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    script = tmp_path / "acquire.py"
    script.write_text(found[1], "utf-8")
    run = tmp_path / "sample-7"
    ended = subprocess.run(
        [sys.executable, str(script), str(run)],
        env={**application.environment, "EXLAB_STATE_DIR": str(application.state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == (f"{run} is job 1\n", "")
    application.until_idle()
    assert application.checksums_pass("sem-2/sample-7")
    assert application.query("SELECT label, operator, state FROM session_leases") == [
        ("SEM, sample-7", "Ada", "completed")
    ]
