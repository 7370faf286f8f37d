"""Another program that answers HTTP at a port, and remembers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Reply = Callable[[str, dict[str, str]], tuple[int, object] | None]


class Stranger:
    """Answers with the status and document that `reply` returns for path and headers; for None it hangs up."""

    def __init__(self, reply: Reply) -> None:
        self.heard: list[dict[str, str]] = []
        stranger = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length", "0")))
                stranger.heard.append(headers)
                replied = reply(self.path, headers)
                if replied is None:
                    self.close_connection = True
                    return
                status, document = replied
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 - the names that the base class looks for

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def tokens(self) -> list[str]:
        """What was sent as authority, in all requests."""
        return [headers["authorization"] for headers in self.heard if "authorization" in headers]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
