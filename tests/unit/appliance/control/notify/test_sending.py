"""Sending to a real mail server and to a real webhook: what arrives, and what is said when it does not."""

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.errors import MessageError
from email.header import decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.notify import MailSettings, NotifyAddress
from appliance.control.notify import sending, short_answers
from appliance.control.notify.sending import Letter, Receipt, mail_message, misspelt, send
from tests.unit.appliance.control.notify.servers import mail_server, number_of, webhook
from tests.unit.ports import free_port

ADMIN = NotifyAddress("admin@example.org")
LETTER = Letter(
    "notice-7-1795694400000-ab12", "warning", "[boot] Silent: 30 PCs", "Größe: 30 PCs\nDo: look", 1795694400.0
)


def plain(port: int) -> MailSettings:
    return MailSettings("127.0.0.1", port, "none", from_="box@example.org")


def test_a_mail_arrives_as_it_was_meant() -> None:
    with mail_server() as server:
        answer = send(ADMIN, plain(server.port), LETTER)
    assert answer == Receipt(True, "127.0.0.1 took it: 250 2.0.0 OK, queued as 7F2A")
    (mail,) = server.taken
    assert server.envelopes == [("box@example.org", ["admin@example.org"])]
    assert mail["Subject"] == LETTER.title
    assert mail["From"] == "box@example.org"
    assert mail["Message-ID"] == "<notice-7-1795694400000-ab12@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "2026" in mail["Date"]
    assert mail.get_content().replace("\r\n", "\n") == "Größe: 30 PCs\nDo: look\n"


def test_a_mail_that_is_sent_again_can_be_recognised() -> None:
    with mail_server() as server:
        for _ in range(2):
            send(ADMIN, plain(server.port), LETTER)
    first, second = server.taken
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Date"] == second["Date"]


@pytest.mark.parametrize(
    ("on_address", "on_message", "said"),
    [
        ("550 5.1.1 no such user", "250 OK", "550 (the address) 5.1.1 no such user"),
        ("250 OK", "451 4.7.1 greylisted, try again later", "451 (the message) 4.7.1 greylisted, try again later"),
        ("250 OK", "554 5.7.1 \x1b[2Jspam", "554 (the message) 5.7.1 \\x1b[2Jspam"),
    ],
)
def test_what_a_mail_server_says_is_told(on_address: str, on_message: str, said: str) -> None:
    with mail_server() as server:
        server.on_address, server.on_message = on_address, on_message
        answer = send(ADMIN, plain(server.port), LETTER)
    assert (answer.taken, server.taken) == (False, [])
    assert answer.words == f"127.0.0.1 did not take it: {said}"


def test_a_mail_server_without_encryption_gets_nothing_if_it_was_asked_for() -> None:
    with mail_server() as server:
        answer = send(ADMIN, MailSettings("127.0.0.1", server.port, "starttls"), LETTER)
    assert (answer.taken, server.taken) == (False, [])
    assert "STARTTLS" in answer.words


def test_a_mail_server_that_is_down_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    assert send(ADMIN, plain(port), LETTER).words == f"cannot connect to 127.0.0.1 port {port}: Connection refused"
    monkeypatch.setattr(sending, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        words = send(ADMIN, plain(mute.getsockname()[1]), LETTER).words
    assert "no answer within" in words


def test_the_goodbye_of_a_mail_server_is_not_waited_for() -> None:
    """It has taken the mail: whatever comes after that must not send it again."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rwb", buffering=0) as file:
            file.write(b"220 here\r\n")
            for answer in (b"250 here", b"250 OK", b"250 OK", b"354 go on"):
                file.readline()
                file.write(answer + b"\r\n")
            while file.readline() != b".\r\n":
                pass
            file.write(b"250 taken\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    with listening:
        answer = send(ADMIN, plain(listening.getsockname()[1]), LETTER)
        thread.join()
    assert answer == Receipt(True, "127.0.0.1 took it: 250 taken")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_header_can_be_smuggled_into_a_mail(title: str, body: str) -> None:
    """Whatever the title is: it is the subject, or the mail is not made."""
    usual = set(mail_message(ADMIN, "box@example.org", LETTER).keys())
    try:
        mail = mail_message(ADMIN, "box@example.org", Letter("n", "info", title, body, 1e9))
        lines = mail.as_bytes().partition(b"\r\n\r\n")[0].split(b"\r\n")
    except (ValueError, MessageError):
        return
    names = {line.partition(b":")[0].decode() for line in lines if not line.startswith((b" ", b"\t"))}
    assert names <= usual
    assert str(make_header(decode_header(mail["To"]))) == ADMIN


def test_a_line_end_in_a_title_makes_no_mail() -> None:
    with mail_server() as server:
        bad = Letter("n", "info", "x\r\nBcc: all@example.org", "y", 1e9)
        answer = send(ADMIN, plain(server.port), bad)
    assert (answer.taken, server.taken) == (False, [])


def test_a_webhook_gets_title_text_and_number() -> None:
    with webhook() as hook:
        answer = send(NotifyAddress(hook.url), MailSettings(), LETTER)
    assert answer == Receipt(True, "taken")
    (post,) = hook.posts
    assert (post["title"], post["type"]) == (LETTER.title, "warning")
    assert post["message"].startswith("Größe: 30 PCs\nDo: look")
    assert number_of(post) == LETTER.ident


@pytest.mark.parametrize(("status", "said"), [(500, "error=500"), (403, "error=403"), (404, "error=404")])
def test_what_a_webhook_answers_is_told(status: int, said: str) -> None:
    with webhook() as hook:
        hook.answer = lambda _: status
        answer = send(NotifyAddress(hook.url), MailSettings(), LETTER)
    assert not answer.taken
    assert said in answer.words


def test_a_webhook_that_is_down_is_told_without_its_token() -> None:
    answer = send(NotifyAddress(f"json://user:secret-word@127.0.0.1:{free_port()}/secret-path"), MailSettings(), LETTER)
    assert not answer.taken
    assert answer.words
    assert "secret-word" not in answer.words


def test_no_answer_has_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    address = NotifyAddress("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#room")

    def fail(*_: object) -> Receipt:
        raise ValueError(f"cannot post to {address}")

    monkeypatch.setattr(sending, "_by_apprise", fail)
    assert send(address, MailSettings(), LETTER).words == "ValueError: cannot post to slack://…/…/…/#room"


def test_urls_that_apprise_cannot_read_are_named() -> None:
    assert misspelt(NotifyAddress("json://127.0.0.1/x")) == ""
    assert misspelt(ADMIN) == ""
    assert misspelt(NotifyAddress("slak://a/b/c")) == "apprise knows no service slak://"
    assert misspelt(NotifyAddress("slack://x")) == "apprise cannot read it: something is missing for slack://"
    assert send(NotifyAddress("slak://a/b/c"), MailSettings(), LETTER).words == "apprise knows no service slak://"


@contextmanager
def says(*parts: bytes, then: bytes = b"", pause: float = 0.0) -> Iterator[int]:
    """A server on a port of the loopback that answers each line with the next part, and the last one with `then` again
    and again for as long as anybody reads, with pauses of so many seconds."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        with suppress(OSError), connection, connection.makefile("rwb", buffering=0) as file:
            for part in parts:
                file.write(part)
                file.readline()
            while then:
                file.write(then)
                time.sleep(pause)

    thread = threading.Thread(target=serve)
    thread.start()
    with listening:
        yield listening.getsockname()[1]
    thread.join()


def memory_of(call: Callable[[], Receipt]) -> tuple[Receipt, int]:
    """What it returns, and how many bytes it held at most."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("length", [b"", b"Content-Length: 99999999999\r\n"])
def test_an_endless_answer_of_a_webhook_is_not_read_to_its_end(length: bytes) -> None:
    send(NotifyAddress("json://127.0.0.1:9/x"), MailSettings(), LETTER)  # imports apprise
    with says(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n", then=b"x" * 60000) as port:
        answer, held = memory_of(lambda: send(NotifyAddress(f"json://127.0.0.1:{port}/x"), MailSettings(), LETTER))
    assert answer.taken
    assert held < 10 << 20


def test_an_endless_answer_of_a_mail_server_is_not_read_to_its_end() -> None:
    with says(b"220 here\r\n", then=b"250-and more\r\n" * 1000) as port:
        answer, held = memory_of(lambda: send(ADMIN, plain(port), LETTER))
    assert not answer.taken
    assert "its answer does not end" in answer.words
    assert held < 10 << 20


@pytest.mark.parametrize("drop", [b"250-a\r\n", b"2"])
def test_an_answer_in_drops_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, drop: bytes) -> None:
    monkeypatch.setattr(short_answers, "SECONDS", 0.2)
    with says(b"220 here\r\n", then=drop, pause=0.02) as port:
        answer = send(ADMIN, plain(port), LETTER)
    assert not answer.taken
    assert "does not end" in answer.words


def test_a_webhook_that_leads_elsewhere_has_not_taken_it() -> None:
    with webhook() as other, webhook() as hook:
        hook.answer, hook.leads_to = (lambda _: 307), f"http://127.0.0.1:{other.port}/login"
        answer = send(NotifyAddress(hook.url), MailSettings(), LETTER)
    assert not answer.taken
    assert "error=307" in answer.words
    assert other.posts == []
