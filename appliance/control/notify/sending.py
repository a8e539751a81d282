"""The ways out: plain mail addresses by SMTP, all others by apprise. Nothing is kept or tried again here.

apprise (BSD-2-Clause) brings requests (Apache-2.0), so this module must not be imported where scapy (GPL-2.0-only) is.
Mail goes by the standard library and not by apprise: apprise gives each try of a message another Message-ID, and says
nothing of what the mail server answered.
"""

import logging
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime

from appliance.config.notify import MailSettings, NotifyAddress
from appliance.control.notify import short_answers
from services.foreign_text import printable
from services.trusted_certificates import client_context

TIMEOUT = 20.0
"""Seconds for each step of a conversation."""

LONGEST_ANSWER = 300
SHORTEST_SECRET = 8
"""Characters of a URL's parts that may be a token: no answer repeats them."""

# It quotes whole URLs, with their tokens, to whoever listens. Nobody does but `_said`.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())

_LEVELS = {"info": "info", "good": "success", "warning": "warning"}


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent. `ident` is the same each time it is tried. `made` is in seconds since the epoch."""

    ident: str
    level: str
    title: str
    body: str
    made: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """Whether it was taken, and what was answered, in words."""

    taken: bool
    words: str


def send(address: NotifyAddress, mail: MailSettings, message: Letter) -> Receipt:
    """Send a message, and wait for the answer. Never raises; may take minutes."""
    try:
        answer = _by_mail(address, mail, message) if address.mail else _by_apprise(address, message)
    except Exception as error:
        answer = Receipt(False, f"{type(error).__name__}: {error}")
    return Receipt(answer.taken, printable(_without_secrets(answer.words, address), LONGEST_ANSWER))


def _without_secrets(words: str, address: NotifyAddress) -> str:
    """`words` without what may be a token of the URL, wherever in it: each service has it in another place."""
    if not address.mail:
        for part in re.split(r"[/@:?&=#]+", address.partition("://")[2]):
            # Host names are no secrets, and useful.
            if len(part) >= SHORTEST_SECRET and "." not in part:
                words = words.replace(part, "…")
    return words


def misspelt(address: NotifyAddress) -> str:
    """What is wrong with a URL of apprise's, in words, or empty; asks nobody."""
    if address.mail:
        return ""
    import apprise  # noqa: PLC0415 - takes a quarter of a second

    with _said():
        known = apprise.Apprise.instantiate(str(address), suppress_exceptions=True)
    if known is not None:
        return ""
    scheme = address.split(":", 1)[0].lower()
    if scheme not in apprise.NotificationManager().schemas():
        return f"apprise knows no service {scheme}://"
    return f"apprise cannot read it: something is missing for {scheme}://"


def _by_mail(address: NotifyAddress, mail: MailSettings, message: Letter) -> Receipt:
    here = _host_name()
    sender = mail.from_ or f"netboot-appliance@{here}"
    content = mail_message(address, sender, message)
    context = client_context()
    port = mail.effective_port
    try:
        if mail.encryption == "tls":
            smtp: smtplib.SMTP = short_answers.SmtpByTls(mail.host, port, here, timeout=TIMEOUT, context=context)
        else:
            smtp = short_answers.Smtp(mail.host, port, here, timeout=TIMEOUT)
    except (OSError, smtplib.SMTPException) as error:
        return Receipt(False, f"cannot connect to {mail.host} port {port}: {_words(error)}")
    try:
        if mail.encryption == "starttls":
            smtp.starttls(context=context)
        if mail.user:
            smtp.login(mail.user, mail.password)
        answered = _deliver(smtp, sender, address, content.as_bytes())
    except (OSError, smtplib.SMTPException) as error:
        return Receipt(False, f"{mail.host} did not take it: {_words(error)}")
    finally:
        with suppress(OSError, smtplib.SMTPException):
            smtp.close()
    return Receipt(True, f"{mail.host} took it: {answered}")


def _deliver(smtp: smtplib.SMTP, sender: str, address: str, content: bytes) -> str:
    """Hand the message over; returns what the server answered. Its goodbye is not waited for: the mail is its own from
    the answer on."""
    smtp.ehlo_or_helo_if_needed()
    _accepted("the sender", *smtp.mail(sender))
    _accepted("the address", *smtp.rcpt(address))
    answered = _accepted("the message", *smtp.data(content))
    with suppress(OSError, smtplib.SMTPException):
        smtp.putcmd("quit")
    return answered


def _accepted(what: str, code: int, words: bytes) -> str:
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, f"({what}) {_text(words)}")
    return f"{code} {_text(words)}"


def mail_message(address: str, sender: str, message: Letter) -> EmailMessage:
    """The mail, the same each time but for nothing. No header can hold a line end: the policy refuses it."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = address
    mail["Subject"] = message.title
    mail["Date"] = format_datetime(localtime(datetime.fromtimestamp(message.made, UTC)))
    mail["Message-ID"] = f"<{message.ident}@{sender.rpartition('@')[2]}>"
    # RFC 3834: nobody's holiday reply is to answer.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.body + "\n")
    return mail


def _by_apprise(address: NotifyAddress, message: Letter) -> Receipt:
    import apprise  # noqa: PLC0415 - takes a quarter of a second

    short_answers.install()
    # Without a limit of its own it stays in this thread, where it is waited for (service.py).
    # Redirects: the page of a login, say, would answer that all is well, and the notice would be lost.
    asset = apprise.AppriseAsset(
        app_id="netboot-appliance",
        app_desc="netboot-appliance",
        async_mode=False,
        service_timeout=0.0,
        http_redirects=False,
    )
    with _said() as said:
        service = apprise.Apprise(asset=asset)
        if not service.add(str(address)):
            return Receipt(False, misspelt(address))
        body = f"{message.body}\n({message.ident})"
        taken = service.notify(body, message.title, _LEVELS.get(message.level, "info"), body_format="text")
    if taken:
        return Receipt(True, "taken")
    return Receipt(False, "; ".join(dict.fromkeys(said)) or "not taken, and the service does not say why")


@contextmanager
def _said() -> Iterator[list[str]]:
    """What apprise says in this thread: its only way to say what went wrong."""
    said: list[str] = []
    thread = threading.get_ident()

    class _Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                said.append(record.getMessage())

    listener, logger = _Listener(logging.WARNING), logging.getLogger("apprise")
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def _host_name() -> str:
    name = socket.gethostname()
    return name if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else "localhost"


def _words(error: BaseException) -> str:
    match error:
        case smtplib.SMTPResponseException():
            return f"{error.smtp_code} {_text(error.smtp_error)}"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case _ if isinstance(error, TimeoutError) or "timed out" in str(error):
            return f"no answer within {TIMEOUT:.0f} s"
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return str(error) or type(error).__name__


def _text(words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join(text.split())
