"""Whoever tries to use the page of a box: on a host of the room, with sockets of the test's own process."""

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from tests.netns.inside import inside
from tests.room.namespaces import Namespace
from tests.room.room import BOX

PORT = 8443
_SECONDS = 20.0
_ANYBODYS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ANYBODYS.check_hostname = False
_ANYBODYS.verify_mode = ssl.CERT_NONE


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Visitor:
    """Somebody on `host`, who asks for the page at `address` and keeps its cookies."""

    host: Namespace
    address: str = str(BOX)
    cookies: SimpleCookie = field(default_factory=SimpleCookie)

    def connect(self) -> socket.socket:
        """A TCP connection; raises OSError."""
        with inside(self.host):
            return socket.create_connection((self.address, PORT), timeout=_SECONDS)

    def hears(self, sent: bytes) -> bytes:
        """All that comes for these bytes, until the box closes the connection."""
        heard = b""
        with contextlib.suppress(ConnectionError), self.connect() as tcp:
            tcp.sendall(sent)
            while piece := tcp.recv(4096):
                heard += piece
        return heard

    def ask(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Page:
        """Send a request, as a browser does; raises OSError."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        names.setdefault("Cookie", self._cookie())
        body = None
        if form is not None:
            names["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form)
        with _ANYBODYS.wrap_socket(self.connect()) as tls:
            connection = http.client.HTTPConnection(self.address, PORT)
            connection.sock = tls
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []):
                self.cookies.load(cookie)
            return Page(answer.status, answer.headers, answer.read().decode("utf-8", "replace"))

    def follow(self, path: str, until: str) -> str:
        """What an open page is told, up to these words; raises TimeoutError if they do not come."""
        names = f"Host: {self.address}:{PORT}\r\nCookie: {self._cookie()}\r\n"
        with _ANYBODYS.wrap_socket(self.connect()) as tls:
            tls.sendall(f"GET {path} HTTP/1.1\r\n{names}\r\n".encode())
            heard = ""
            while until not in heard:
                piece = tls.recv(65536)
                assert piece, f"the stream ended without {until!r}: {heard}"
                heard += piece.decode("utf-8", "replace")
        return heard

    def _cookie(self) -> str:
        return "; ".join(f"{each.key}={each.value}" for each in self.cookies.values())

    def log_in(self, password: str) -> Page:
        """Try a password."""
        return self.ask("POST", "/login", {"password": password})
