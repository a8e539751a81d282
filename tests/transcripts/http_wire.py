"""A conversation with the HTTP server without its sockets: `wire >> bytes that the client sends << what it gets`.

The bytes go through the reader, the state machine, the box's policy and the encoder, without a socket and a clock. What
the client gets is written out as text; the end of the connection is a line in brackets. `Date` and `Server`, the same
in all answers, are left out.
"""

from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from textwrap import dedent
from typing import Self

from appliance.allowlist import Allowlist, Entry
from appliance.boot import policy
from appliance.journal.timeline import Boot, fold
from services.decision import Ignore, Reason
from services.ethernet import MacAddress, MacRange
from services.events import Reported, ScriptServed, SecretsServed, TokenExchanged
from services.http import answers, basic_auth
from services.http.conversation import ConnectionState, Conversation, NextStep, OnInput, Serve
from services.http.heartbeats import Heartbeat, HeartbeatReply, OrderVerb
from services.http.messages import CONTINUE, Request, Response
from services.http.paths import EntryScript, ImageUrl, LiveArchiveUrl, LoaderFile, Target, parse
from services.http.routing import Sources, longest_body, route

MAC = MacAddress.parse("52:54:00:aa:bb:01")
PEER = IPv4Address("10.77.0.134")
BOOT = f"/boot/{MAC.bare}"
TOKEN = "T0ken"
ARCHIVE_DIGEST = "0123456789abcdef" * 4
NEW_TOKEN = "T0ken-2"
PASSWORD = "open sesame"
FILES = {"snponly.efi": b"the boot loader", "image/r1/vmlinuz": b"the kernel", "image/r1/initrd.img": b""}

_DATE_AND_SERVER = "Date: Thu, 01 Jan 1970 00:00:00 GMT\nServer: netboot-appliance\n"


@dataclass(frozen=True)
class TimeIsUp:
    """The client has taken as long as it may, for its request or for taking its answer."""


def request(method: str, path: str, *fields: str, body: bytes = b"") -> bytes:
    """The bytes of a request; of its headers only Host is added."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: 10.77.0.1", *fields, "", "")).encode("latin-1") + body


def get(path: str, *fields: str) -> bytes:
    """The bytes of a GET request."""
    return request("GET", path, *fields)


def post(path: str, body: str, *fields: str) -> bytes:
    """The bytes of a POST request with its body."""
    return request("POST", path, f"Content-Length: {len(body)}", *fields, body=body.encode("latin-1"))


class Wire:
    """`>>` sends bytes, or lets time pass; `<<` compares everything that the client got.

    Its box allows MAC, knows the menu entries `local` and, locked, `rescue`, and has one boot of the client, at `PEER`,
    under way. The kernel's neighbour table has the address `neighbour` for that client. The socket takes `room`
    bytes of an answer before it is full; None: all.
    """

    def __init__(self, *, neighbour: MacAddress | None = MAC, room: int | None = None) -> None:
        self._neighbour = neighbour
        self._room = room
        self._boot = Boot(1, MAC, 1.0, TOKEN, "r1", last_event=1.0)
        self._sources = Sources(
            self._script,
            self._autoexec,
            self._secrets,
            self._live_list,
            self._report,
            self._exchange,
            self._heartbeat,
        )
        self._conversation = Conversation(PEER)
        self._received: str | None = None
        self.heartbeats: list[Heartbeat] = []
        self.orders: tuple[tuple[int, OrderVerb], ...] = ()

    def __rshift__(self, sent: bytes | TimeIsUp) -> Self:
        assert not self._received, f"nobody expected:\n{self._received}"
        assert self._conversation.state is not ConnectionState.CLOSED, "the connection is closed"
        self._received = ""
        if isinstance(sent, TimeIsUp):
            self._end(reset=self._conversation.half_answered())
        else:
            self._take(sent)
        return self

    def __lshift__(self, expected: str) -> Self:
        assert self._received is not None, "nothing was sent"
        received = self._received.replace(_DATE_AND_SERVER, "").strip("\n")
        assert received == dedent(expected).strip("\n"), f"received:\n{received}"
        self._received = None
        return self

    @property
    def received(self) -> str:
        """What the client got for what it sent last."""
        return self._received or ""

    def __bool__(self) -> bool:
        assert not self._received, f"nobody expected:\n{self._received}"
        return True

    def _take(self, sent: bytes) -> None:
        if self._conversation.state is not ConnectionState.LINGERING:
            self._conversation.reader.feed(sent)
            self._go_on()
        elif self._conversation.throw_away(len(sent)):
            self._end(reset=False)

    def _go_on(self) -> None:
        while self._conversation.state in (ConnectionState.HEAD, ConnectionState.BODY):
            step = self._conversation.advance(self._begin)
            if step is NextStep.READ:
                return
            if step is NextStep.ASK_FOR_BODY:
                self._receive(CONTINUE)
            elif step is NextStep.SERVE:
                answer = self._conversation.serve()
                assert isinstance(answer, Response), "here every answer comes at once"
                self._conversation.answer(answer, 0.0)
                self._write()
            else:
                self._end(reset=True)

    def _write(self) -> None:
        taken = len(self._conversation.unsent) if self._room is None else self._room
        self._receive(self._conversation.unsent[:taken])
        self._conversation.unsent = self._conversation.unsent[taken:]
        if not self._conversation.unsent:
            self._conversation.finish()
            if self._conversation.state is ConnectionState.CLOSED:
                self._note("[closed]")
            elif self._conversation.state is ConnectionState.LINGERING:
                self._note("[nothing more is sent]")

    def _end(self, *, reset: bool) -> None:
        self._conversation.close()
        self._note("[reset]" if reset else "[closed]")

    def _receive(self, data: bytes) -> None:
        assert self._received is not None
        self._received += data.decode("latin-1").replace("\r\n", "\n")

    def _note(self, note: str) -> None:
        assert self._received is not None
        self._received = f"{self._received.rstrip()}\n{note}".strip()

    def _begin(self, conversation: Conversation, request: Request) -> Serve | Ignore:
        url = parse(request.path)
        allowlist = Allowlist.of([Entry(MacRange(MAC, MAC))])
        mac = policy.admit(
            url.claimed, self._neighbour, peer=conversation.address, on_link=True, allowlist=allowlist, networks=()
        )
        request.longest_body = longest_body(url.target)
        return mac if isinstance(mac, Ignore) else partial(self._answer, request, url.target, mac)

    def _answer(self, request: Request, target: Target, mac: MacAddress) -> Response | OnInput:
        decision = route(request, target, mac, PEER, self._sources)
        if isinstance(decision, LoaderFile | ImageUrl | LiveArchiveUrl):
            decision = self._file(request, str(decision))
        elif isinstance(decision, EntryScript):
            password = basic_auth.password(request.fields.get("authorization", ""))
            decision = answers.script(self._entry_script(decision.key, password))
        return answers.refusal(decision.reason) if isinstance(decision, Ignore) else decision

    def _file(self, request: Request, name: str) -> Response | Ignore:
        if name not in FILES:
            return Ignore(Reason.NO_FILE)
        answer, body = answers.file(request.fields, len(FILES[name]))
        return Response(answer.status, answer.fields, FILES[name][body.start : body.stop])

    def _autoexec(self, mac: MacAddress) -> str | Ignore:
        return f"begin of {mac}\n"

    def _script(self, mac: MacAddress, peer: IPv4Address) -> str:
        self._boot = fold(self._boot, ScriptServed(mac), 1.0)
        return f"#!ipxe\nboot with {self._boot.token}\n"

    def _entry_script(self, key: str, password: str | None) -> str | Ignore:
        if key not in ("local", "rescue"):
            return Ignore(Reason.NO_FILE)
        if key == "rescue" and password is None:
            return Ignore(Reason.PASSWORD_NEEDED)
        if key == "rescue" and password != PASSWORD:
            return Ignore(Reason.PASSWORD_WRONG)
        return f"#!ipxe\nboot {key}\n"

    def _live_list(self, mac: MacAddress, token: str) -> str | Ignore:
        boot = policy.secrets(self._boot, token)
        return boot if isinstance(boot, Ignore) else f"{ARCHIVE_DIGEST} 10240\n"

    def _secrets(self, mac: MacAddress, token: str, peer: IPv4Address) -> bytes | Ignore:
        boot = policy.secrets(self._boot, token)
        if isinstance(boot, Ignore):
            return boot
        self._boot = fold(boot, SecretsServed(mac), 1.0)
        return b"the secrets of " + boot.mac.bare.encode()

    def _exchange(self, mac: MacAddress, token: str, _peer: IPv4Address) -> str | Ignore:
        boot = policy.exchange(self._boot, token, 2.0)
        if isinstance(boot, Ignore):
            return boot
        if not boot.exchanged:
            event = TokenExchanged(mac, policy.reporting_token(boot.token))
            self._boot = boot = fold(replace(boot, token=NEW_TOKEN), event, 1.0)
        return policy.exchanged_for(boot, token)

    def _heartbeat(
        self, mac: MacAddress, token: str, heartbeat: Heartbeat, peer: IPv4Address
    ) -> HeartbeatReply | Ignore:
        boot = policy.current(self._boot, token)
        if isinstance(boot, Ignore):
            return boot
        ended = {end.order for end in heartbeat.ended}
        orders = tuple(order for order in self.orders if order[0] not in ended)
        self.heartbeats.append(heartbeat)
        return HeartbeatReply(1790000000.4, 61, "0123456789abcdef", orders)

    def _report(self, mac: MacAddress, token: str, report: Reported, peer: IPv4Address) -> Reported | Ignore:
        boot = policy.current(self._boot, token)
        if isinstance(boot, Ignore):
            return boot
        self._boot = fold(boot, report, 1.0)
        return report
