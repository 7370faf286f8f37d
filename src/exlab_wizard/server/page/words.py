"""Values of the database as HTML. A name may hold anything: it is displayed, never interpreted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from exlab_wizard.domain.clock import from_text, to_text
from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.files import FileState
from exlab_wizard.domain.job import JobState, WaitReason
from exlab_wizard.domain.text import names
from exlab_wizard.domain.text.amounts import about, duration, number, percent, plural, rate, size, verb
from exlab_wizard.domain.text.jobs import FILE_STATES, PLACED, SESSION_STATES, STATES, WAITS, percent_done
from exlab_wizard.domain.text.names import sentence, visible
from exlab_wizard.domain.text.quit import ending, facts, promise
from exlab_wizard.domain.views import Job
from exlab_wizard.paths import printable
from exlab_wizard.server.page.forms import address
from exlab_wizard.server.page.timeline import state_sign
from exlab_wizard.store.reports.activity import WaitingSince

_UNKNOWN: Final = "\N{EN DASH}"


def name(text: Json) -> Markup:
    """Return a name from outside: nothing in it can be a tag, turn the writing around or break the line."""
    return Markup('<bdi class="name">{}</bdi>').format(visible(str(text)))


def run_name(path: Json) -> Markup:
    """Return the last part of a run's path, with the whole path in the tooltip."""
    # Elsewhere than on Windows a backslash is part of a name.
    last = names.run_name(str(path), os.sep)
    return Markup('<bdi class="name" title="{}">{}</bdi>').format(visible(str(path)), last)


def moment(at: datetime | Json) -> Markup:
    """Return a time of the database in local time, today without its date; UTC is in the tooltip."""
    return _time(at, short=True)


def day_and_time(at: datetime | Json) -> Markup:
    """Return a time of the database in local time with its date; UTC is in the tooltip."""
    return _time(at, short=False)


def state(value: Json) -> str:
    """Return the word for a state."""
    return sentence(STATES[JobState(str(value))])


def file_state(value: Json) -> str:
    """Return the word for a file's state."""
    return FILE_STATES[FileState(str(value))]


def placed(job: Job) -> Markup:
    """Return the state of a job with its destination."""
    return escape(sentence(PLACED[job.state])).format(destination=name(job.destination))


def waiting(reason: Json) -> str:
    """Return what a job waits for, in a sentence."""
    return f"Waiting: {WAITS[WaitReason(str(reason))].reason}."


def waits(group: WaitingSince) -> Markup:
    """Return what jobs wait for, since when, and what to do."""
    wait = WAITS[group.waiting_on]
    begun = escape(wait.begun).format(destination=name(group.destination))
    return Markup("{} since {}. {}").format(begun, moment(group.since), wait.outlook)


def done_percent(job: Job) -> float | None:
    """Return how far a job is, 0 to 100; None while unknown."""
    return percent_done(job.bytes_total, job.bytes_done, job.bytes_verified)


FILTERS: Final = {
    "about": about,
    "address": address,
    "day_and_time": day_and_time,
    "duration": duration,
    "ending": ending,
    "facts": facts,
    "file_state": file_state,
    "moment": moment,
    "name": name,
    "number": number,
    "percent": percent,
    "placed": placed,
    "plain": visible,
    "plural": plural,
    "promise": promise,
    "rate": rate,
    "run_name": run_name,
    "sentence": sentence,
    "session_state": SESSION_STATES.__getitem__,
    "sign": state_sign,
    "size": size,
    "state": state,
    "utc": to_text,
    "utf8": printable,
    "verb": verb,
    "waiting": waiting,
    "waits": waits,
}
"""What templates may say; each knows no clock but the local zone."""


def _time(known: datetime | Json, *, short: bool) -> Markup:
    text = to_text(known) if isinstance(known, datetime) else known
    try:
        at = from_text(str(text))
        local = at.astimezone()
    except (ValueError, OverflowError):  # written by hand into the database
        return Markup("{}").format(visible(str(text)) if text else _UNKNOWN)
    today = local.date() == datetime.now(UTC).astimezone().date()
    shown = f"{local:%H:%M}" if today and short else f"{local:%Y-%m-%d %H:%M}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(str(text), f"{at:%Y-%m-%d %H:%M:%S} UTC", shown)
