"""A web server of one file that behaves as badly as it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class FileServer:
    """What it serves, how it misbehaves, and what it was asked.

    Attributes
    ----------
    content
        The file.
    cut_after
        Bytes of each answer after which the connection is cut; None: never.
    cuts
        How many answers are cut.
    ranges
        False: `Range` is ignored, everything is sent again.
    redirect
        Where a first request is sent on to; "" for none.
    status
        An error instead of the file.
    mislabelled
        True: the headers say gzip, the content is as it is.
    unsized
        True: chunks of unknown number, without Content-Length.
    """

    content: bytes
    cut_after: int | None = None
    cuts: int = 1
    ranges: bool = True
    redirect: str = ""
    status: int = 200
    mislabelled: bool = False
    unsized: bool = False
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: FileServer

    def do_GET(self) -> None:
        self.told.asked.append((self.path, self.headers.get("Range")))
        if self.told.redirect and not self.path.startswith("/moved.zip"):
            self._head(302, {"Location": self.told.redirect, "Content-Length": "0"})
        elif self.told.status != 200:
            self._head(self.told.status, {"Content-Length": "0"})
        else:
            span = self.headers.get("Range") if self.told.ranges else None
            self._send(int(span.removeprefix("bytes=").rstrip("-")) if span else 0)

    def _send(self, first: int) -> None:
        size = len(self.told.content)
        if first and first >= size:
            self._head(416, {"Content-Length": "0"})
            return
        rest = self.told.content[first:]
        headers = {"Connection": "close"} if self.told.unsized else {"Content-Length": str(len(rest))}
        self.close_connection = self.told.unsized
        if self.told.mislabelled:
            headers["Content-Encoding"] = "gzip"
        if first:
            headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
        self._head(206 if first else 200, headers)
        if self.told.cut_after is not None and self.told.cuts > 0:
            self.told.cuts -= 1
            rest = rest[: self.told.cut_after]
            self.close_connection = True
        self.wfile.write(rest)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    """Serve on a free port of this machine while the block runs."""
    handler = type("Handler", (_Handler,), {"told": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
