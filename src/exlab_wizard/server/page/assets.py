"""The static files of the page: kept in memory, with a version of their content in the URL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.responses import Response

FOLDER: Final = "/static/"
_TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    media_type: str
    version: str


class Assets:
    """All files in `static/`, as they are at launch."""

    def __init__(self) -> None:
        """Read the files."""
        files = sorted((Path(__file__).parent / "static").iterdir())
        self._assets = {file.name: self._read(file) for file in files if file.suffix in _TYPES}

    def url(self, name: str) -> str:
        """Return the URL of `name`; a new content has a new URL."""
        return f"{FOLDER}{name}?v={self._assets[name].version}"

    def answer(self, name: str, version: str) -> Response | None:
        """Return the file, cacheable for good if its version was requested; None if there is no such file."""
        asset = self._assets.get(name)
        if asset is None:
            return None
        kept = _FOR_GOOD if version == asset.version else "no-cache"
        return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": kept})

    @staticmethod
    def _read(file: Path) -> _Asset:
        content = file.read_bytes()
        return _Asset(content, _TYPES[file.suffix], hashlib.sha256(content).hexdigest()[:12])
