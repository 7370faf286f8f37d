"""What pages refuse, and what their forms do without a browser: no way out of the roots, nothing done by halves."""

from __future__ import annotations

import asyncio
import html
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import httpx
import pytest
from tests.integration.api.api import Api
from tests.integration.page import stage
from tests.support.program import PATIENCE_SECONDS, Program, until, write_run

from exlab_wizard.diagnosis.doctor import share
from exlab_wizard.diagnosis.doctor.checkup import CheckResult, good
from exlab_wizard.server.page.forms import LONGEST_ADDRESS, address, path_of
from exlab_wizard.server.page.settings.trials import Trials
from exlab_wizard.server.thread_pools import FolderReads, ThreadPool
from exlab_wizard.settings import DestinationSettings
from exlab_wizard.store.sqlite.database import Database

pytestmark = pytest.mark.slow
NAVIGATES: Final = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


@dataclass(frozen=True)
class Place:
    """A running program, its pages as a browser without a script gets them, and its one root."""

    program: Program
    http: httpx.Client
    root: Path

    def get(self, path: str, **query: str | int) -> httpx.Response:
        return self.http.get(path, params=query, headers=NAVIGATES)

    def post(self, page: str, /, **form: str) -> httpx.Response:
        return self.http.post(page, data=form, headers=NAVIGATES)

    def add(self, **form: str) -> httpx.Response:
        return self.post("/add", **{"destination": "nas", **form})

    def queued(self) -> int:
        return self.program.number("SELECT count(*) FROM sync_jobs")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Program(tmp_path_factory.mktemp("pages")) as program:
        root = stage.instrument(program, "scan-1", "caf\udce9", "two\nlines")
        write_run(program.home / "secret" / "classified", {"a": 10}, 1)
        (root / "out").symlink_to(program.home / "secret")
        program.start()
        with Api.of(program) as api:
            yield Place(program, api.http, root)


def told(answer: httpx.Response) -> str:
    return html.unescape(answer.text)


@pytest.mark.parametrize("below", ["..", "../secret", "scope-2/../../secret", "/etc", "scope-2//scan-1", "%00", "."])
def test_no_way_leads_out_of_a_root(place: Place, below: str) -> None:
    before = place.queued()
    looked = place.get("/add", root=address(place.root), at=below)
    assert (looked.status_code, "classified" in told(looked)) == (404, False)
    added = place.add(root=address(place.root), at=below)
    assert added.status_code == 422
    assert place.queued() == before


@pytest.mark.parametrize("root", ["/etc", "", "/", "%2Fetc", "x" * (LONGEST_ADDRESS + 1)])
def test_only_configured_folders_are_roots(place: Place, root: str) -> None:
    looked = place.get("/add", root=root, at="scope-2")
    # Without a root there is the only one that is configured.
    assert looked.status_code == (404 if root else 200)
    assert "shadow" not in looked.text


def test_a_link_is_neither_shown_nor_followed_nor_added(place: Place) -> None:
    assert "1 link not shown" in told(place.get("/add", root=address(place.root)))
    looked = place.get("/add", root=address(place.root), at="out")
    assert "cannot be read" in told(looked)
    assert "classified" not in told(looked)
    before = place.queued()
    for form in ({"root": address(place.root), "at": "out/classified"}, {"path": f"{place.root}/out/classified"}):
        refused = place.add(**form)
        assert refused.status_code == 403
        assert "is outside the folders" in told(refused)
    assert place.queued() == before


@pytest.mark.parametrize(
    ("form", "field", "message"),
    [
        ({}, "path", "Choose a folder, or enter its path."),
        ({"path": "relative"}, "path", "Give the absolute path of the run."),
        ({"path": "{root}/scope-2/gone"}, "path", "Give the path of an existing run folder."),
        ({"path": "{nas}"}, "path", "is inside the destination"),
        ({"path": "{root}/scope-2/scan-1", "destination": "moon"}, "destination", "There is no destination 'moon'"),
        ({"path": "{root}/scope-2/scan-1", "destination": ""}, "destination", "Choose a destination."),
        ({"path": "{root}/scope-2/scan-1", "equipment": ".."}, "equipment", "must be a plain folder name"),
    ],
)
def test_what_cannot_be_added_is_told_at_its_field(
    place: Place, form: dict[str, str], field: str, message: str
) -> None:
    before = place.queued()
    filled = {name: value.format(root=place.root, nas=place.program.nas) for name, value in form.items()}
    refused = place.add(**filled)
    assert refused.status_code == 422
    assert message in told(refused).partition(f'id="fault-{field}"')[2].partition("</p>")[0]
    assert place.queued() == before
    if "path" in filled:
        assert f'value="{filled["path"]}"' in told(refused)


@pytest.mark.parametrize("name", ["caf\udce9", "two\nlines"])
def test_a_run_of_any_name_can_be_chosen_and_arrives(place: Place, name: str) -> None:
    added = place.add(root=address(place.root), at=address(f"scope-2/{name}"))
    assert added.status_code == 303
    number = int(added.headers["location"].rpartition("/")[2])
    until(lambda: place.program.job_state(number) == "verified")
    assert (place.program.nas / os.fsdecode(os.fsencode(name)) / "detector.raw").stat().st_size == 300_000
    again = place.add(root=address(place.root), at=address(f"scope-2/{name}"))
    assert again.status_code == 303
    looked = place.get("/add", root=address(place.root), at=address(f"scope-2/{name}"))
    assert "<strong>Verified on" in looked.text


def test_a_run_that_is_queued_already_is_found_not_doubled(place: Place) -> None:
    with place.program.store() as store:
        launch = store.launches.open_launch()
        assert launch is not None
    assert place.http.post("/api/v1/pause").status_code == 200
    form = {"root": address(place.root), "at": "scope-2/scan-1"}
    first, second = place.add(**form), place.add(**form)
    assert first.headers["location"] == second.headers["location"]
    assert "Adding it again changes nothing." in told(place.get("/add", **form))
    assert place.http.post("/api/v1/resume").status_code == 200


def test_what_a_state_forbids_is_refused_on_a_page_too(place: Place) -> None:
    number = int(place.add(root=address(place.root), at="scope-2/scan-1").headers["location"].rpartition("/")[2])
    until(lambda: place.program.job_state(number) == "verified")
    for verb in ("retry", "cancel"):
        refused = place.post(f"/runs/{number}/{verb}")
        assert refused.status_code == 409
        assert " is verified and cannot be" in told(refused)
    assert place.get("/runs/999999").status_code == 404
    assert place.get("/runs/999999/receipt").status_code == 404
    assert place.post("/runs/999999/cancel").status_code == 404


def test_a_form_of_another_site_does_nothing(place: Place) -> None:
    before = place.program.config.read_text("utf-8")
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for path in ("/add", "/settings/quit", "/settings/destinations/nas", "/runs/1/cancel"):
        assert place.http.post(path, data={"window_s": "1"}, headers=foreign).status_code == 403
    assert place.program.config.read_text("utf-8") == before


def test_a_receipt_that_cannot_be_read_says_why(place: Place) -> None:
    number = int(place.add(root=address(place.root), at="scope-2/scan-1").headers["location"].rpartition("/")[2])
    until(lambda: place.program.job_state(number) == "verified")
    receipt = place.program.nas / "scan-1" / ".exlab-wizard" / "receipt.json"
    content = receipt.read_bytes()
    try:
        assert (
            "0.1.0" in place.get(f"/runs/{number}/receipt").text
            or "program version" in place.get(f"/runs/{number}/receipt").text
        )
        receipt.write_text("[]", "utf-8")
        assert "this is not a receipt" in told(place.get(f"/runs/{number}/receipt"))
        receipt.unlink()
        missing = place.get(f"/runs/{number}/receipt")
        assert (missing.status_code, "No such file" in told(missing)) == (404, True)
        marker = place.program.nas / ".exlab-destination"
        shutil.move(marker, place.program.home / "marker")
        assert "is offline" in told(place.get(f"/runs/{number}/receipt"))
        shutil.move(place.program.home / "marker", marker)
    finally:
        receipt.write_bytes(content)


def test_files_come_in_pages_with_their_hashes(place: Place) -> None:
    write_run(place.root / "many", {f"file-{number:03d}": 1 for number in range(120)}, 1)
    number = int(place.add(root=address(place.root), at="many").headers["location"].rpartition("/")[2])
    until(lambda: place.program.job_state(number) == "verified")
    page = told(place.get(f"/runs/{number}"))
    hashes = page.count('class="hash"')
    while following := re.search(rf'href="(/runs/{number}\?after=[^"#]*)', page):
        page = told(place.http.get(following[1], headers=NAVIGATES))
        hashes += page.count('class="hash"')
    assert hashes == 120


def test_a_run_that_waits_says_for_what(place: Place) -> None:
    marker, kept = place.program.nas / ".exlab-destination", place.program.home / "kept"
    write_run(place.root / "waiting", {"a": 10}, 1)
    shutil.move(marker, kept)
    try:
        number = int(place.add(root=address(place.root), at="waiting").headers["location"].rpartition("/")[2])
        until(lambda: place.program.value("SELECT waiting_on FROM sync_jobs WHERE id = ?", number))
        page = told(place.get(f"/runs/{number}"))
        assert "Waiting: the destination is offline. It resumes automatically." in page
        assert "Mount the share" in page
        assert "Waiting: the destination is offline." in told(place.get("/history", text="waiting"))
    finally:
        shutil.move(kept, marker)
    until(lambda: place.program.job_state(number) == "verified")


def test_nonsense_in_an_address_is_a_page_not_an_error(place: Place) -> None:
    for path in (
        "/history?before=x", "/history?before=99999999999999999999", "/history?since=0001-01-01&until=9999-12-31",
        "/history?state=gone", "/history?since=yesterday", "/runs/1?before=-5&after=%25ff", "/add?first=1e9",
        "/settings?saved=%3Cscript%3E", "/history?" + urlencode({"text": "\N{SNOWMAN}" * 300}), "/history?text=%ff%00",
    ):  # fmt: skip
        answer = place.http.get(path, headers=NAVIGATES)
        assert answer.status_code in (200, 422), path
        assert "<script>" not in answer.text.partition("<main")[2], path
    faulty = told(place.get("/history", state="gone", since="yesterday"))
    assert "There is no such state." in faulty
    assert "Enter a date such as 2026-11-24." in faulty


def test_a_settings_file_with_a_fault_is_told_and_cannot_be_changed(place: Place) -> None:
    before = place.program.config.read_text("utf-8")
    try:
        place.program.config.write_text(f"{before}[quit]\n", "utf-8")
        page = told(place.get("/settings"))
        assert "The settings file has errors" in page
        assert 'name="token"' not in page
        saved = place.post("/settings/quit", window_s="60", session_end_window_s="5", token="")
        assert saved.status_code == 409
        assert place.program.config.read_text("utf-8") == f"{before}[quit]\n"
    finally:
        place.program.config.write_text(before, "utf-8")


def test_a_destination_may_have_the_name_of_anything_on_the_page(tmp_path: Path) -> None:
    names = ("quit", "main", "state", "login", "notifications")
    with Program(tmp_path) as program:
        program.configure(more="".join(f"[destinations.{name}]\ntarget = '{tmp_path}/{name}'\n" for name in names))
        program.start()
        with Api.of(program) as api:
            page = api.http.get("/settings", headers=NAVIGATES).text
            found = re.findall(r'\bid="([^"]+)"', page)
            assert sorted(found) == sorted(set(found))
            token = page.partition('name="token" value="')[2].partition('"')[0]
            saved = api.http.post(
                "/settings/destinations/quit", data={"token": token, "bandwidth": "x"}, headers=NAVIGATES
            )
            assert (saved.status_code, saved.text.count('aria-invalid="true"')) == (422, 1)
            saved = api.http.post(
                "/settings/destinations/quit", data={"token": token, "bandwidth": "7"}, headers=NAVIGATES
            )
            assert saved.headers["location"] == "/settings?saved=to-quit#to-quit"
            assert "</bdi> is saved" in api.http.get(saved.headers["location"], headers=NAVIGATES).text


def test_a_path_of_any_bytes_survives_an_address() -> None:
    for path in ("/data/a b", "/data/caf\udce9", "/data/\u202e", "/data/100%/x?y#z&a=b", ""):
        assert path_of(address(path)) == path
        assert address(path).isascii()


def test_folders_that_hang_leave_a_thread_for_others(tmp_path: Path) -> None:
    pool = ThreadPool("path", 4, Database(tmp_path / "none.db").release)
    over, begun = threading.Event(), threading.Semaphore(0)

    def hang() -> str:
        begun.release()
        over.wait(PATIENCE_SECONDS)
        return "at last"

    async def visit() -> list[str]:
        folders = FolderReads(pool)
        hanging = [asyncio.ensure_future(folders.run(place, hang, 20)) for place in ("nas", "nas", "archive")]
        for _ in hanging:
            await asyncio.to_thread(begun.acquire, timeout=PATIENCE_SECONDS)
        for place in ("nas", "archive", "root"):
            with pytest.raises(TimeoutError):
                await folders.run(place, hang, 20)
        assert await pool.run(lambda: "a run is handed in", 20) == "a run is handed in"
        over.set()
        assert await asyncio.gather(*hanging) == ["at last"] * 3
        return [await folders.run("nas", hang, 20)]

    assert asyncio.run(visit()) == ["at last"]
    pool.close()


def test_a_share_that_hangs_is_tried_once_at_a_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun, over = threading.Event(), threading.Event()

    def hang(_folder: Path, _marker: str) -> Iterator[CheckResult]:
        begun.set()
        over.wait(PATIENCE_SECONDS)
        yield good("reachable", "at last")

    # No share hangs on this machine; the rest is the real thing.
    monkeypatch.setattr(share, "examine", hang)
    trials, destination = Trials(), DestinationSettings(target=str(tmp_path))
    first: list[CheckResult] = []
    thread = threading.Thread(target=lambda: first.extend(trials.of("nas", destination)[0]))
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    (second,), verdict = trials.of("nas", destination)
    assert verdict == "error"
    assert second.detail == "an earlier test has not finished yet"
    over.set()
    thread.join()
    assert [finding.detail for finding in first] == ["at last"]
    assert [finding.detail for finding in trials.of("nas", destination)[0]] == ["at last"]
