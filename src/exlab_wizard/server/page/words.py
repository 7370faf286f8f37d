"""How values of the database read on a page. A name may hold anything: it is shown, never interpreted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.job import JobState, WaitReason
from exlab_wizard.domain.text import duration, plain, plural, size
from exlab_wizard.server.errors import Json
from exlab_wizard.server.page.addresses import address
from exlab_wizard.server.page.timeline import state_sign, state_towards, state_word, waiting_words
from exlab_wizard.store.reports.rows import Record
from exlab_wizard.store.sqlite.values import whole

_UNKNOWN: Final = "\N{EN DASH}"
STATES: Final = {
    JobState.QUEUED: "waiting",
    JobState.RUNNING: "being sent",
    JobState.VERIFYING: "being read back",
    JobState.VERIFIED: "verified",
    JobState.CLEANED: "verified, and removed here",
    JobState.RESUMABLE: "goes on at the next start",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}
"""What a person reads for a state."""
_WAITING: Final = {
    WaitReason.DESTINATION_OFFLINE: Markup(
        "{destination} is offline since {since}. It is looked for all the time, and syncing goes on by itself."
    ),
    WaitReason.DESTINATION_FULL: Markup(
        "{destination} is full since {since}. Make room there; syncing goes on by itself."
    ),
    WaitReason.SOURCE_CHANGING: Markup("Still being written since {since}. It is synced when the instrument is done."),
    WaitReason.EARLIER_ATTEMPT: Markup(
        "An earlier attempt hangs since {since}. It goes on by itself when that one ends."
    ),
}


def name(text: Json) -> Markup:
    """Return a name from outside: nothing in it can be a tag, turn the writing around or break the line."""
    return Markup('<bdi class="name">{}</bdi>').format(plain(str(text)))


def run_name(path: Json) -> Markup:
    """Return the last part of a run's path, with the whole path in the tooltip."""
    whole_path = plain(str(path))
    # Elsewhere than on Windows a backslash is part of a name, and of how bytes are shown that are no text.
    last = str(path).replace(os.sep, "/").rstrip("/").rpartition("/")[2]
    return Markup('<bdi class="name" title="{}">{}</bdi>').format(whole_path, plain(last) or whole_path)


def moment(text: Json) -> Markup:
    """Return a time of the database in local time, today without its date; UTC is in the tooltip."""
    return _time(text, short=True)


def day_and_time(text: Json) -> Markup:
    """Return a time of the database in local time with its date; UTC is in the tooltip."""
    return _time(text, short=False)


def rate(bytes_s: float | None) -> str:
    """Return bytes per second in words."""
    return _UNKNOWN if bytes_s is None else f"{size(bytes_s)}/s"


def count(number: int) -> str:
    """Return a number with its thousands apart."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def waits(row: Record) -> Markup:
    """Return what jobs wait for, since when, and what to do."""
    sentence = _WAITING[WaitReason(str(row["waiting_on"]))]
    return sentence.format(destination=name(row["destination"]), since=moment(row["since"]))


def percent(job: Record) -> float | None:
    """Return how far a job is, 0 to 100: half the way is sending, half is reading back; None where unknown."""
    total = whole(job["bytes_total"])
    if not total:
        return None
    return min(100.0, 50 * (whole(job["bytes_done"]) + whole(job["bytes_verified"])) / total)


FILTERS: Final = {
    "count": count,
    "day_and_time": day_and_time,
    "address": address,
    "duration": duration,
    "moment": moment,
    "name": name,
    "plain": plain,
    "plural": plural,
    "rate": rate,
    "run_name": run_name,
    "sign": state_sign,
    "size": size,
    "state": state_word,
    "towards": state_towards,
    "waiting": waiting_words,
    "waits": waits,
}
"""What templates may say; each knows no clock but the local zone."""


def _time(text: Json, *, short: bool) -> Markup:
    try:
        at = from_text(str(text))
        local = at.astimezone()
    except (ValueError, OverflowError):  # written by hand into the database
        return Markup("{}").format(plain(str(text)) if text else _UNKNOWN)
    today = local.date() == datetime.now(UTC).astimezone().date()
    shown = f"{local:%H:%M}" if today and short else f"{local:%Y-%m-%d %H:%M}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(str(text), f"{at:%Y-%m-%d %H:%M:%S} UTC", shown)
