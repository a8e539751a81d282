"""A conversation with the pure half of the proxyDHCP server: `wire >> what a client sends << what it hears`.

The bytes go through the codec both ways; the answer is written out as text by a reader that shares no code with it.
"""

from dataclasses import replace
from ipaddress import IPv4Address
from textwrap import dedent
from typing import Self

from appliance.allowlist import Allowlist, Entry
from appliance.boot import policy
from appliance.config.loaders import Loaders
from services.decision import Ignore
from services.dhcp import packet, proxy
from services.dhcp.message import Arrival
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.proxy import BootRequest
from services.ethernet import MacRange
from tests.captures import Datagram
from tests.fakes.dhcp_client import NOWHERE, Answer

BOX = IPv4Address("10.77.0.1")
EVERYONE = "255.255.255.255"
LOADERS = Loaders(uefi_ia32="ia32.efi")


def sent(payload: bytes, source: str = f"{NOWHERE}:68", port: int = 67) -> Datagram:
    """A scripted datagram, by default a client's broadcast."""
    host, _, source_port = source.partition(":")
    destination = IPv4Address(EVERYONE) if port == 67 else BOX
    return Datagram(IPv4Address(host), int(source_port), destination, port, payload)


def plan(request: BootRequest, profile: Profile = Profile.STANDARD, loaders: Loaders = LOADERS) -> BootPlan | Ignore:
    """What a box offers, by default one that has a loader for IA32, beside the usual ones, and none for ARM64."""
    planned = policy.plan(
        request,
        loaders=loaders.by_machine,
        allowlist=Allowlist.of([Entry(MacRange(request.mac, request.mac))]),
        release="r",
        base_url=f"http://{BOX}",
    )
    return planned if isinstance(planned, Ignore) else replace(planned, profile=profile)


def reply_to(datagram: Datagram) -> bytes:
    """The answer's bytes, where there is one."""
    message = packet.decode(datagram.payload)
    arrival = Arrival(datagram.source, datagram.source_port, datagram.port)
    assert not isinstance(message, Ignore)
    request = proxy.classify(message, arrival)
    assert not isinstance(request, Ignore)
    planned = plan(request)
    assert not isinstance(planned, Ignore)
    reply = proxy.respond(message, planned, BOX, arrival)
    assert not isinstance(reply, Ignore)
    return packet.encode(reply)


class Wire:
    """`>>` hands in a datagram; `<<` compares what came of it, which then is answered for."""

    def __init__(self, profile: Profile = Profile.STANDARD, loaders: Loaders = LOADERS) -> None:
        self._profile = profile
        self._loaders = loaders
        self._heard: str | None = None

    def __rshift__(self, datagram: Datagram) -> Self:
        assert self._heard is None, f"nobody expected:\n{self._heard}"
        self._heard = _answer(datagram, self._profile, self._loaders)
        return self

    def __lshift__(self, expected: str) -> Self:
        assert self._heard == dedent(expected).strip()
        self._heard = None
        return self

    def __bool__(self) -> bool:
        assert self._heard is None, f"nobody expected:\n{self._heard}"
        return True


def _answer(datagram: Datagram, profile: Profile, loaders: Loaders) -> str:
    arrival = Arrival(datagram.source, datagram.source_port, datagram.port)
    message = packet.decode(datagram.payload)
    if isinstance(message, Ignore):
        return f"silence: {message.reason.name}"
    used = proxy.address_used(message, arrival)
    seen = "" if isinstance(used, Ignore) else f"\nseen: {message.mac} at {used}"
    request = proxy.classify(message, arrival)
    if isinstance(request, Ignore):
        return f"silence: {request.reason.name}{seen}"
    planned = plan(request, profile, loaders)
    if isinstance(planned, Ignore):
        return f"silence: {planned.reason.name}{seen}"
    reply = proxy.respond(message, planned, BOX, arrival)
    if isinstance(reply, Ignore):
        return f"silence: {reply.reason.name}{seen}"
    destination = f"{reply.destination}:{reply.destination_port}" + (f" after {reply.delay:g} s" if reply.delay else "")
    return _written(Answer.parse(packet.encode(reply)), destination, datagram.payload) + seen


def _written(answer: Answer, destination: str, asked: bytes) -> str:
    assert (answer.op, answer.secs, answer.yiaddr) == (2, 0, NOWHERE)
    assert answer.size >= 300
    assert answer.xid.to_bytes(4, "big") == asked[4:8]
    assert answer.mac == asked[28:34]
    lines = [f"{answer.kind} -> {destination}", f"flags {answer.flags:04x}"]
    lines += [
        f"{name} {value}" for name in ("ciaddr", "siaddr", "giaddr") if (value := getattr(answer, name)) != NOWHERE
    ]
    lines += [f"sname {answer.sname}"] if answer.sname else []
    lines.append(f"file {answer.file}")
    for code in answer.order[1:]:
        value = answer.options[code]
        if code == 54:
            text = str(IPv4Address(value))
        elif code in (43, 82, 97):
            text = value.hex(" ")
        else:
            text = value.decode().replace("\0", "\\0")
        lines.append(f"{code} {text}")
    assert answer.order[0] == 53
    return "\n".join(lines)
