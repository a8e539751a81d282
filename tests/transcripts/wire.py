"""A conversation with the PXE rules, which need no socket: `wire >> what a client sends << what it receives`.

The bytes go through the codec both ways; the answer is written as text by a reader that shares no code with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from textwrap import dedent
from typing import Self

from appliance.allowlist import Allowlist, Entry
from appliance.boot import policy
from appliance.config.loaders import Loaders
from services.decision import Ignore, Reason
from services.dhcp import boot_answer, packet
from services.dhcp.message import Arrival, Reply
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacRange
from services.events import AddressSeen, Event, Ignored, LeaseChosen
from tests.captures import Datagram
from tests.fakes.dhcp_client import NOWHERE, Answer

BOX = IPv4Address("10.77.0.1")
EVERYONE = "255.255.255.255"
LOADERS = Loaders(uefi_ia32="ia32.efi", uefi_arm64="")  # what an image of Debian 12 has, and one more


def sent(payload: bytes, source: str = f"{NOWHERE}:68", port: int = 67) -> Datagram:
    """A datagram of a client, by default its broadcast."""
    host, _, source_port = source.partition(":")
    destination = IPv4Address(EVERYONE) if port == 67 else BOX
    return Datagram(IPv4Address(host), int(source_port), destination, port, payload)


def plan(request: BootRequest, profile: Profile = Profile.STANDARD, loaders: Loaders = LOADERS) -> BootPlan | Ignore:
    """What the box offers. By default it has a loader for IA32 in addition to the usual ones, and none for ARM64."""
    planned = policy.plan(
        request,
        loaders=loaders.by_machine,
        allowlist=Allowlist.of([Entry(MacRange(request.mac, request.mac))]),
        release="r",
        base_url=f"http://{BOX}",
    )
    return planned if isinstance(planned, Ignore) else replace(planned, profile=profile)


def decide(
    datagram: Datagram,
    *,
    planned: Callable[[BootRequest], BootPlan | Ignore] = plan,
    allowed: bool = True,
    leasing: bool = False,
    broadcasts: bool = True,
    serves: Callable[[IPv4Address], bool] = lambda _: True,
) -> tuple[Reply | Ignore, list[Event]]:
    """What services/dhcp/boot_answer.py makes of a datagram, in its three steps, and the events that it reports.

    `leasing`: the box gives addresses to everybody. `broadcasts`: it hears port 67. `serves`: where it answers to.
    """
    arrival = Arrival(datagram.source, datagram.source_port, datagram.port)
    leases_to = (lambda _: True) if leasing else None
    message, read = boot_answer.read(datagram.payload, arrival, BOX, allowed=allowed, leases_to=leases_to)
    if isinstance(message, Ignore):
        return message, [*read]
    if not allowed:
        return Ignore(Reason.NOT_ALLOWED), [*read]
    request, asked = boot_answer.ask(message, arrival, leasing=leasing, broadcasts=broadcasts, serves=serves)
    if isinstance(request, Ignore):
        return request, [*read, *asked]
    reply, answered = boot_answer.answer(message, request, planned(request), BOX, arrival)
    return reply, [*read, *asked, *answered]


class Wire:
    """`>>` passes in a datagram; `<<` compares the outcome, and each outcome must be compared.

    The outcome is the reply, or `silence: REASON` when that is not reported, or `refused: REASON` when it is. Then
    the client's address and the DHCP server that it takes, where the datagram shows them. `planned` replaces what the
    box plans; the other arguments are those of `decide`.
    """

    def __init__(
        self,
        profile: Profile = Profile.STANDARD,
        loaders: Loaders = LOADERS,
        *,
        planned: Callable[[BootRequest], BootPlan | Ignore] | None = None,
        allowed: bool = True,
        leasing: bool = False,
        serves: Callable[[IPv4Address], bool] = lambda _: True,
    ) -> None:
        self._planned = planned or (lambda request: plan(request, profile, loaders))
        self._allowed = allowed
        self._leasing = leasing
        self._serves = serves
        self._result: str | None = None

    def __rshift__(self, datagram: Datagram) -> Self:
        assert self._result is None, f"nobody expected:\n{self._result}"
        reply, events = decide(
            datagram, planned=self._planned, allowed=self._allowed, leasing=self._leasing, serves=self._serves
        )
        self._result = "\n".join([_outcome(reply, events, datagram.payload), *_observations(events)])
        return self

    def __lshift__(self, expected: str) -> Self:
        assert self._result == dedent(expected).strip()
        self._result = None
        return self

    def __bool__(self) -> bool:
        assert self._result is None, f"nobody expected:\n{self._result}"
        return True


def _outcome(reply: Reply | Ignore, events: list[Event], asked: bytes) -> str:
    if isinstance(reply, Ignore):
        reasons = [event.reason for event in events if isinstance(event, Ignored)]
        assert reasons in ([], [reply.reason])
        return f"{'refused' if reasons else 'silence'}: {reply.reason.name}"
    destination = f"{reply.destination}:{reply.destination_port}" + (f" after {reply.delay:g} s" if reply.delay else "")
    return _written(Answer.parse(packet.encode(reply)), destination, asked)


def _observations(events: list[Event]) -> Iterator[str]:
    for event in events:
        match event:
            case AddressSeen():
                yield f"seen: {event.mac} at {event.address}"
            case LeaseChosen():
                yield f"takes: the lease of {event.server}" + (", ours" if event.ours else "")


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
