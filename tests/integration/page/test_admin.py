"""`/admin/` in a real browser: its policy lets Datasette's own scripts run, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.integration.api.api import Api
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import expect
from tests.support.program import Program, until, write_run

ATTACK = "<img src=x onerror=document.title='taken'>"


@pytest.mark.slow
def test_the_pages_work_under_their_policy_and_run_nothing_else(program: Program, visit: Visit, tmp_path: Path) -> None:
    program.start()
    program.enqueue(write_run(tmp_path / "runs" / ATTACK, {"a.raw": 10}))
    until(lambda: program.job_state() == "verified", what="the run to arrive")
    window = visit(program, "/history", may_fail=True)
    window.page.get_by_role("link", name="Browse the database").click()
    expect(window.page).to_have_url(f"{window.base}/admin/")
    window.go("/admin/exlab-wizard/sync_jobs")
    expect(window.page.get_by_text(ATTACK).first).to_be_visible()
    # Its script has put the menu beside each column; the menu shows our sentence about it.
    window.page.locator("th.col-interruptions .dropdown-menu-icon").click()
    expect(window.page.locator(".dropdown-menu")).to_contain_text("interrupted it")
    window.go("/admin/exlab-wizard/ask-find-run")
    expect(window.page.get_by_text(ATTACK).first).to_be_visible()
    window.go("/admin/exlab-wizard?sql=select+1+as+one")
    expect(window.page.locator(".CodeMirror")).to_be_visible()
    window.page.evaluate("document.querySelector('.CodeMirror').CodeMirror.setValue('select 40 + 2 as answer')")
    window.page.get_by_role("button", name="Run SQL").click()
    expect(window.page.locator("td", has_text="42")).to_be_visible()
    assert window.faults == []
    add = "const s = document.createElement('script'); s.text = 'document.title = 1'; document.body.append(s)"
    window.page.evaluate(add)
    expect(window.page).not_to_have_title("1")
    assert "Content Security Policy" in window.faults[0]


@pytest.mark.anew
def test_without_the_extra_no_page_leads_there(program: Program, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['datasette'] = None\n", "utf-8")
    program.environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{program.environment['PYTHONPATH']}"
    program.start()
    with Api.of(program) as api:
        assert api.http.get("/history").status_code == 200
        assert "/admin" not in api.http.get("/history").text
        assert "exlab-wizard[admin]" in api.http.get("/admin/").json()["error"]["message"]
