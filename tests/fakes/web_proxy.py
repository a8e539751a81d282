"""A web proxy: the only way to the Internet of many schools and offices.

`python -m tests.fakes.web_proxy --address 10.77.0.6 --port 3128` forwards plain http and tunnels what CONNECT asks
for. It prints one line per request: its method and what it was for. It has no cache, no rules and no passwords.
"""

import argparse
import selectors
import socket
import sys
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TIMEOUT = 60
PIECE = 64 << 10


class _Request(BaseHTTPRequestHandler):
    timeout = TIMEOUT

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), TIMEOUT) as server:
                self.send_response(200)
                self.end_headers()
                self._tunnel(server)
        except OSError as error:
            self.send_error(502, str(error))

    def _tunnel(self, server: socket.socket) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self.connection, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, self.connection)
            while events := ready.select(TIMEOUT):
                for key, _ in events:
                    piece = key.fileobj.recv(PIECE)  # type: ignore[union-attr]
                    if not piece:
                        return
                    key.data.sendall(piece)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        try:
            server = HTTPConnection(url.hostname or "", url.port or 80, timeout=TIMEOUT)
            server.request(self.command, url._replace(scheme="", netloc="").geturl(), body, headers)
            answer = server.getresponse()
            content = answer.read()
        except OSError as error:
            self.send_error(502, str(error))
            return
        self.send_response(answer.status)
        for name in ("Content-Type", "Location"):
            if value := answer.headers.get(name):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a line per request is enough."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line per request."""
        print(self.command, self.path, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A web proxy for tests.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=3128)
    options = parser.parse_args(arguments)
    with ThreadingHTTPServer((options.address, options.port), _Request) as server:
        print("serving", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
