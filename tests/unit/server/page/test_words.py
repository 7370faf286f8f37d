"""How values read on a page, whatever somebody wrote into the database, and how fast a run is said to be."""

from __future__ import annotations

import pytest
from tests.support import views

from exlab_wizard.domain.views import Job
from exlab_wizard.server.page.forms import local
from exlab_wizard.server.page.now import RATE_SECONDS, Rates
from exlab_wizard.server.page.words import moment, name, run_name

MIB = 1 << 20


@pytest.mark.parametrize("text", ["soon", "", None, "9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z"])
def test_a_time_that_is_none_is_shown_as_it_stands(text: str | None) -> None:
    assert str(text or "\N{EN DASH}")[:4] in moment(text)


def test_a_time_is_local_with_utc_in_the_tooltip() -> None:
    shown = moment("2026-11-23T08:00:00.000Z")
    assert 'datetime="2026-11-23T08:00:00.000Z"' in shown
    assert 'title="2026-11-23 08:00:00 UTC"' in shown


def test_a_name_is_text_in_one_line_and_one_direction() -> None:
    assert name('<b>"\u202e\n') == '<bdi class="name">&lt;b&gt;&#34;\\u202e\\n</bdi>'
    assert run_name("/data/<i>/run-1/") == '<bdi class="name" title="/data/&lt;i&gt;/run-1/">run-1</bdi>'
    assert ">/</bdi>" in run_name("/")


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\nb", ""])
def test_a_form_sends_nobody_elsewhere(back: str) -> None:
    assert local(back) == "/"


def test_a_form_goes_back_to_where_it_was() -> None:
    assert local("/history?state=failed") == "/history?state=failed"


def _job(done: int, verified: int = 0) -> Job:
    return views.job(bytes_done=done, bytes_verified=verified)


def test_the_rate_is_that_of_the_last_seconds_and_of_this_attempt() -> None:
    rates = Rates()
    assert rates.sample([_job(100 * MIB)], 0.0) == {}
    assert rates.sample([_job(102 * MIB)], 1.0) == {1: (2 * MIB, 0)}
    found: dict[int, tuple[float, float]] = {}
    for second in range(2, 60):
        found = rates.sample([_job(102 * MIB, MIB * (second - 1))], float(second))
    sent, back = found[1]
    assert sent == 0, f"what was sent more than {RATE_SECONDS:g} s ago is no rate"
    assert back == pytest.approx(MIB)
    assert rates.sample([_job(0)], 61.0) == {}, "it began again"
    assert rates.sample([], 62.0) == {}
    assert rates.sample([_job(5 * MIB)], 63.0) == {}, "it was forgotten meanwhile"
