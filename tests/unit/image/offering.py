"""A web server that offers releases, and lies about them as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class OfferingServer(ThreadingHTTPServer):
    """Serves a directory. `ranges`: whether it knows parts of files. `cut`: by path, after how many bytes it ends,
    once. `endless`: paths whose content never ends. `moved`: paths that lead elsewhere. `asked`: what it was asked
    for."""

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.directory = directory
        self.ranges = True
        self.cut: dict[str, int] = {}
        self.endless: set[str] = set()
        self.moved: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/images/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients leave when they have enough."""


class _Request(BaseHTTPRequestHandler):
    server: OfferingServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        name = self.path.removeprefix("/images/")
        wanted = self.headers.get("Range") or ""
        self.server.asked.append((name, wanted))
        if name in self.server.moved:
            self._head(302, 0, Location=self.server.moved[name])
            return
        if name in self.server.endless:
            self._head(200, 1 << 60)
            while True:
                self.wfile.write(b" " * 65536)
        path = self.server.directory / name
        if not path.is_file():
            self._head(404, 0)
            return
        content = path.read_bytes()
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if begin and begin >= len(content):
            self._head(416, 0)
            return
        size = len(content)
        extra = {"Content-Range": f"bytes {begin}-{size - 1}/{size}"} if begin else {}
        self._head(206 if begin else 200, size - begin, **extra)
        end = self.server.cut.pop(name, size)
        self.wfile.write(content[begin:end])
        if end < size:
            self.close_connection = True

    def _head(self, status: int, size: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(size)}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


@contextmanager
def offering(directory: Path) -> Iterator[OfferingServer]:
    """The server, running."""
    with OfferingServer(directory) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
