"""What a call of the command line gives back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    status: int
    out: str
    err: str

    @property
    def document(self) -> object:
        lines = self.out.splitlines()
        assert len(lines) == 1, lines
        return json.loads(lines[0])


Cli = Callable[..., Answer]
