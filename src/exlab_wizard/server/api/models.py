"""The bodies of requests, and of the answers that no other part of the program shares; `domain/views.py` has those.

An unknown field in a request is refused, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Final, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from exlab_wizard.domain.codec import encode
from exlab_wizard.domain.views import MAX_TTL_SECONDS, SessionKind
from exlab_wizard.paths import printable
from exlab_wizard.process.window_request import LONGEST_PAGE, PAGE
from exlab_wizard.server.errors import MEDIA_TYPE

CREATED: Final = 201
HIGHEST_PRIORITY: Final = 1_000
MOST_RUNS: Final = 1_000
LONGEST_PATH: Final = 4_096
LARGEST_ID: Final = (1 << 63) - 1

RunPath = Annotated[str, Field(min_length=1, max_length=LONGEST_PATH, description="absolute path of the run's folder")]
Destination = Annotated[str, Field(min_length=1, max_length=63, description="name of a configured destination")]
Equipment = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        description="the instrument that wrote the run; becomes a folder on the destination, so it is a plain name",
    ),
]
Priority = Annotated[
    int, Field(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY, description="higher goes first; the default is 0")
]


JobId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="the job's id")]
Limit = Annotated[int, Query(ge=1, le=1000, description="maximum number of entries to return")]
Before = Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="the `next` of the previous page")]


def answer(view: object, status: int = 200, text: Callable[[str], str] = printable) -> Response:
    r"""Return the view as the JSON body of an answer; bytes of a name that are not UTF-8 appear as `\xNN`."""
    return Response(json.dumps(encode(view, text)), status, media_type=MEDIA_TYPE)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OpenSession(_Request):
    """Foreground work that begins."""

    kind: SessionKind = Field(description="`run`: an acquisition; `project`: a creation wizard")
    label: str = Field(min_length=1, max_length=200, description="its name in the quit question")
    operator: str | None = Field(default=None, max_length=200, description="who is at work")
    equipment_id: Equipment | None = None
    run_path: str | None = Field(default=None, max_length=LONGEST_PATH, description="the run that it writes, if known")
    ttl_s: float | None = Field(
        default=None,
        ge=1,
        le=MAX_TTL_SECONDS,
        allow_inf_nan=False,
        description="seconds without a heartbeat after which it expires; by default `sessions.ttl_s` of the settings",
    )
    id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$",
        description="chosen by the client, so that it can repeat the request if the answer was lost; random by default",
    )


class FinishedRun(_Request):
    """One run to one destination."""

    path: RunPath
    destination: Destination
    priority: Priority = 0


class CompleteSession(_Request):
    """What the session produced."""

    runs: list[FinishedRun] = Field(
        default_factory=list, max_length=MOST_RUNS, description="runs to queue when the session closes"
    )


class EnqueueJob(_Request):
    """One run to one destination."""

    run_path: RunPath
    destination: Destination
    equipment_id: Equipment | None = None
    priority: Priority = 0


class AskQuit(_Request):
    """A quit."""

    force: bool = Field(default=False, description="do not wait: what is in flight resumes at the next launch")


class QuitAsked(BaseModel):
    """A quit that was noted."""

    quit_id: int = Field(description="its row in `quit_requests`")


class AnswerQuit(_Request):
    """The answer to the quit question."""

    answer: Literal["force", "wait", "keep_running"] = Field(
        description="`force`: quit now; `wait`: a fresh window; `keep_running`: cancel the quit"
    )


class AnswerTaken(BaseModel):
    """An answer that was taken."""

    answer: str


class PauseView(BaseModel):
    """Since when this launch is paused; null while it is not."""

    paused_since: str | None


class WindowFocus(_Request):
    """Whether the operator works in the page."""

    focused: bool = Field(description="the page is visible and has the keyboard")


class WindowView(BaseModel):
    """Whether the operator has the window before them."""

    open: bool
    focused: bool = Field(description="whether the page last reported that the operator is working in it")


class OpenWindow(_Request):
    """A page to see."""

    page: str = Field(
        default="/", max_length=LONGEST_PAGE, pattern=f"^{PAGE.pattern}$", description="a path of this server"
    )


class LoginLink(BaseModel):
    """A way in for a browser."""

    path: str = Field(description="open it on this server within `expires_in_s`; it works once")
    expires_in_s: float
