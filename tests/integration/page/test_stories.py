"""What people do with runs, destinations and settings, from the first click to the verified run."""

from __future__ import annotations

import re
import shutil

import pytest
from tests.integration.page import stage
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import Visitor, expect
from tests.support.program import MIB, Program, until, write_run

from exlab_wizard.settings import SettingsFile

pytestmark = pytest.mark.slow


def allow_refusals(visitor: Visitor) -> None:
    """Forget what Chromium says of pages with a status of 4xx, as those of a form with a fault are."""
    visitor.faults = [fault for fault in visitor.faults if "the server responded with a status of 4" not in fault]


def test_a_failed_run_says_what_to_do_is_retried_and_arrives_before_ones_eyes(program: Program, visit: Visit) -> None:
    root = stage.instrument(program)
    program.start()
    job = stage.failed_run(program, root)
    until(lambda: program.job_state(job) == "failed")
    page = visit(program, "/").page
    page.get_by_role("link", name="Review and retry").click()
    page.get_by_role("link", name=stage.FAILED).click()
    expect(page.locator("#error")).to_contain_text("Refusing to replace")
    expect(page.locator("#error")).to_contain_text("move the other one away, then retry")
    late = visit(program, f"/runs/{job}", script=False, may_fail=True).page
    shutil.rmtree(program.nas / "scope-2" / stage.FAILED)
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", name="Verified on nas")).to_be_visible()
    expect(page.locator(".timeline")).to_contain_text("Retried by an operator")
    expect(page.locator(".files .hash")).to_have_text(re.compile("[0-9a-f]{64}"))
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_text("was read just now")).to_be_visible()
    late.get_by_role("button", name="Retry").click()
    expect(late.get_by_role("main")).to_contain_text("is verified and cannot be")
    late.get_by_role("link", name="Back to the run").click()
    expect(late.get_by_role("heading", name="Verified on nas")).to_be_visible()


def test_a_run_is_chosen_added_and_arrives_without_the_script(program: Program, visit: Visit) -> None:
    stage.instrument(program, "scan-1", "scan-2")
    program.start()
    visitor = visit(program, "/", script=False)
    page = visitor.page
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Add a run").click()
    page.get_by_role("link", name="scope-2").click()
    page.get_by_role("link", name="scan-2").click()
    expect(page.get_by_role("radio", name="nas")).to_be_checked()
    page.get_by_label("Instrument").fill("scope/2")
    page.get_by_role("button", name="Add this run").click()
    field = page.get_by_label("Instrument")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#fault-equipment")).to_contain_text("must be a plain folder name")
    assert program.number("SELECT count(*) FROM sync_jobs") == 0
    field.fill("scope-2")
    page.get_by_role("button", name="Add this run").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("scan-2")
    until(lambda: program.job_state() == "verified")
    assert program.checksums_pass("scope-2/scan-2")
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Add a run").click()
    page.get_by_role("link", name="scope-2").click()
    expect(page.locator("#folders li", has_text="scan-2")).to_contain_text("Verified on nas")
    page.get_by_role("link", name="scan-2").click()
    expect(page.locator("#chosen")).to_contain_text("Adding it again copies only new files.")
    allow_refusals(visitor)


def test_a_wrong_limit_is_told_at_its_field_and_the_right_one_is_used_at_once(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=0.25)
    program.start()
    run = write_run(program.home / "instrument" / "large", {"a.raw": 20 * MIB}, 1)
    job = program.enqueue(run)
    until(lambda: program.job_state(job) == "running")
    before = program.config.read_text("utf-8")
    visitor = visit(program, "/settings")
    page = visitor.page
    limit = page.get_by_label("Limit in MiB per second")
    for wrong, message in (("fast", "Enter a number"), ("-3", "greater than 0"), ("1e9", "less than or equal to")):
        limit.fill(wrong)
        page.get_by_role("button", name="Save nas").click()
        expect(limit).to_have_value(wrong)
        expect(limit).to_have_attribute("aria-invalid", "true")
        expect(page.locator("#destination-1-bandwidth-fault")).to_contain_text(message)
    assert program.config.read_text("utf-8") == before
    limit.fill("")  # at the old limit the run would take a minute and a half
    page.get_by_role("button", name="Save nas").click()
    expect(page.get_by_role("status").filter(has_text="takes effect immediately")).to_be_visible()
    until(lambda: program.job_state(job) == "verified")
    assert program.config.read_text("utf-8") == before.replace("bandwidth_mib_s = 0.25\n", "")
    allow_refusals(visitor)


def test_hours_are_added_corrected_and_taken_away(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program, "/settings")
    page = visitor.page
    page.get_by_text("Hours in which the limit applies: always").click()
    page.get_by_label("Days").fill("someday")
    page.get_by_label("From", exact=True).fill("08:00")
    page.get_by_label("To", exact=True).fill("18:00")
    page.get_by_role("button", name="Save nas").click()
    expect(page.locator("#destination-1-days_0-fault")).to_contain_text("Unknown day 'someday'")
    page.get_by_label("Days").first.fill("mon-fri")
    page.get_by_role("button", name="Save nas").click()
    expect(page.get_by_label("Days")).to_have_count(2)
    (hours,) = SettingsFile(program.config).read().destinations["nas"].schedule
    assert (hours.days, f"{hours.from_:%H:%M}", f"{hours.to:%H:%M}") == ("mon-fri", "08:00", "18:00")
    for field in ("Days", "From"):
        page.get_by_label(field, exact=True).first.fill("")
    page.get_by_label("To", exact=True).first.fill("")
    page.get_by_role("button", name="Save nas").click()
    expect(page.get_by_text("Hours in which the limit applies: always")).to_be_visible()
    assert SettingsFile(program.config).read().destinations["nas"].schedule == ()
    allow_refusals(visitor)


def test_what_somebody_else_wrote_into_the_file_is_never_overwritten(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program, "/settings")
    page = visitor.page
    theirs = program.config.read_text("utf-8").replace("window_s = 30.0", "window_s = 45.0  # the night shift")
    program.config.write_text(theirs, "utf-8")
    waits = page.get_by_label("Seconds that a quit waits")
    waits.fill("60")
    page.get_by_role("button", name="Save the quit settings").click()
    expect(page.get_by_role("alert").filter(has_text="Not saved")).to_contain_text("was changed in the meantime")
    expect(waits).to_have_value("45")
    assert program.config.read_text("utf-8") == theirs
    waits.fill("60")
    page.get_by_role("button", name="Save the quit settings").click()
    expect(page.get_by_role("status").filter(has_text="next launch")).to_be_visible()
    assert program.config.read_text("utf-8") == theirs.replace("45.0", "60")
    allow_refusals(visitor)


def test_a_destination_is_tried_out(program: Program, visit: Visit) -> None:
    program.start()
    page = visit(program, "/settings").page
    page.get_by_role("button", name="Test nas").click()
    expect(page.locator("#tried")).to_contain_text("It works")
    expect(page.locator("#tried")).to_contain_text("a file was written and flushed")
    (program.nas / ".exlab-destination").unlink()
    page.get_by_role("button", name="Test nas").click()
    expect(page.locator("#tried")).to_contain_text("It cannot be used now")
    expect(page.locator("#tried")).to_contain_text("Mount the share")


def test_the_start_at_log_in_is_switched_on_and_off(program: Program, visit: Visit) -> None:
    account = program.home / "account"
    program.environment |= {"XDG_CONFIG_HOME": str(account), "HOME": str(program.home)}
    program.start()
    page = visit(program, "/settings").page
    expect(page.locator("#login")).to_contain_text("Off.")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.locator("#login")).to_contain_text("On. ExLab-Wizard starts when you log in.")
    assert str(program.state) in (account / "autostart" / "exlab-wizard.desktop").read_text("utf-8")
    entry = account / "autostart" / "exlab-wizard.desktop"
    entry.write_text(entry.read_text("utf-8").partition("\n")[2], "utf-8")  # without the line that names the state dir
    page.reload()
    expect(page.locator("#login")).to_contain_text("On, for an unknown installation")
    page.get_by_role("button", name="Switch it off").click()
    expect(page.locator("#login")).to_contain_text("Off.")
    assert not (account / "autostart" / "exlab-wizard.desktop").exists()


def test_notifications_are_switched_off_and_a_wrong_time_is_told(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program, "/settings")
    page = visitor.page
    page.get_by_role("checkbox", name="Show desktop notifications").uncheck()
    page.get_by_label("Seconds a destination must be offline").fill("0")
    page.get_by_role("button", name="Save the notification settings").click()
    expect(page.locator("#fault-offline_after_s")).to_contain_text("greater than or equal to 1")
    expect(page.get_by_role("checkbox", name="Show desktop notifications")).not_to_be_checked()
    page.get_by_label("Seconds a destination must be offline").fill("60")
    page.get_by_role("button", name="Save the notification settings").click()
    expect(page.get_by_role("status").filter(has_text="takes effect immediately")).to_be_visible()
    told = SettingsFile(program.config).read().notifications
    assert (told.enabled, told.offline_after_s) == (False, 60)
    allow_refusals(visitor)


def test_a_run_is_cancelled_only_after_a_second_thought(program: Program, visit: Visit) -> None:
    program.configure(bandwidth_mib_s=0.25)
    program.start()
    job = program.enqueue(write_run(program.home / "instrument" / "large", {"a.raw": 20 * MIB}, 1))
    until(lambda: program.job_state(job) == "running")
    page = visit(program, f"/runs/{job}").page
    expect(page.get_by_role("button", name="Yes, cancel it")).to_be_hidden()
    page.get_by_text("Cancel this run…").click()
    page.get_by_role("button", name="Yes, cancel it").click()
    expect(page.get_by_role("heading", name="Sync to nas cancelled")).to_be_visible()
    assert program.job_state(job) == "cancelled"
