"""A mail server and a webhook on this machine's loopback, that do what a test wants of them."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

from tests.unit.ports import free_port


@dataclass
class MailServer:
    """What it has taken, and what it answers to an address (`on_address`) and to a message (`on_message`)."""

    port: int = 0
    taken: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    on_address: str = "250 OK"
    on_message: str = "250 2.0.0 OK, queued as 7F2A"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        """Part of aiosmtpd's interface."""
        if self.on_address.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.on_address

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        """Part of aiosmtpd's interface."""
        if self.on_message.startswith("250"):
            self.taken.append(message_from_bytes(envelope.original_content, policy=default))
            self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        return self.on_message


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A mail server that runs."""
    server = MailServer()
    server.port = free_port()
    controller = Controller(server, hostname="127.0.0.1", port=server.port)
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@dataclass
class Webhook:
    """What was posted, and what is answered: a status, or what a function says for a post."""

    port: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], int] = lambda _: 200
    leads_to: str = ""
    """Where a redirect leads."""
    answered: list[str] = field(default_factory=list)
    """The posts whose answer has left, by their numbers."""

    @property
    def url(self) -> str:
        """As it is written in [notify] addresses."""
        return f"json://127.0.0.1:{self.port}/hook"


@contextmanager
def webhook(port: int = 0) -> Iterator[Webhook]:
    """A webhook that runs."""
    hook = Webhook()

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            post = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.posts.append(post)
            self.send_response(hook.answer(post))
            self.send_header("Content-Length", "0")
            if hook.leads_to:
                self.send_header("Location", hook.leads_to)
            self.end_headers()
            hook.answered.append(number_of(post))

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()

    class _Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    server = _Server(("127.0.0.1", port), _Handler)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def number_of(post: dict[str, Any]) -> str:
    """What a notice is recognised by: the last line of its text."""
    return str(post["message"]).rstrip().rsplit("\n", 1)[-1].strip("()")
