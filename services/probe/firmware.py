"""What boot firmware sends, and what it does with the offers it gets: PXE 2.1, RFC 4578, EDK2, iPXE. PURE.

It sends what real firmware was captured sending. Vendors differ: this is the rule, and known exceptions are remarks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from services.dhcp.message import Option
from services.dhcp.options import read_options
from services.ethernet import MacAddress
from services.probe.message import NOWHERE, DhcpPacket

NOT_IPXE = ("shimx64.efi", "grubx64.efi", "pxelinux.0")
"""How the names of boot loaders end that are not iPXE and do not start it."""


class Agent(StrEnum):
    """Who speaks for the PC at a stage of its boot."""

    BIOS = "bios"
    UEFI = "uefi-x64"
    UEFI_HTTP = "uefi-http"
    IPXE = "ipxe"
    OTHER = "other"
    SYSTEM = "system"

    @property
    def words(self) -> str:
        """What people call it."""
        return _WORDS[self]


_WORDS = {
    Agent.BIOS: "the BIOS",
    Agent.UEFI: "UEFI x64",
    Agent.UEFI_HTTP: "UEFI HTTP boot",
    Agent.IPXE: "iPXE",
    Agent.OTHER: "other firmware",
    Agent.SYSTEM: "an operating system",
}
_X64 = (7, 9)


def recognise(message: DhcpPacket) -> Agent:
    """Who sent a client's message, by options 60, 77, 93 and 175."""
    architectures = message.options.get(Option.ARCHITECTURE, b"")
    numbers = [int.from_bytes(architectures[at : at + 2], "big") for at in range(0, len(architectures) - 1, 2)]
    if message.vendor_class.startswith("HTTPClient"):
        return Agent.UEFI_HTTP
    if not message.vendor_class.startswith("PXEClient"):
        return Agent.SYSTEM
    if b"iPXE" in message.options.get(Option.USER_CLASS, b"") or message.options.get(Option.IPXE):
        return Agent.IPXE
    if 0 in numbers:
        return Agent.BIOS
    return Agent.UEFI if any(number in _X64 for number in numbers) else Agent.OTHER


# Options 55 and 175 as the captured firmware sends them.
_EDK2_ASKS = bytes((1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67,
                    97, *range(128, 136)))  # fmt: skip
_HTTP_ASKS = bytes.fromhex("0102030405060c0d0f111216171c28292a2b3233363a3b3cea4361")
_IPXE_ASKS = bytes((1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203))
_IPXE_BIOS = bytes.fromhex(
    "b105011af41000eb03010000170101220101130101110101270101190101290101100102210101150101180101120101"
)
_IPXE_EFI = bytes.fromhex("b105011af41000eb03010000170101240101130101110101270101290101150101120101")
_LARGEST = (57, bytes.fromhex("05c0"))


def requests(agent: Agent, mac: MacAddress, *, uefi: bool) -> tuple[tuple[int, bytes], ...]:
    """The options of the agent's messages after the message type, in wire order; `uefi` says which iPXE it is."""
    # EDK2 sends zeros where the machine has no UUID; ours shows which machine is probed.
    identity = (97, bytes(11) + bytes(mac))
    if agent is Agent.IPXE:
        number, interface, undi = (7, "01030a", "003010") if uefi else (0, "010201", "002001")
        return (
            _LARGEST,
            (93, number.to_bytes(2, "big")),
            (94, bytes.fromhex(interface)),
            (60, f"PXEClient:Arch:{number:05}:UNDI:{undi}".encode()),
            (77, b"iPXE"),
            (55, _IPXE_ASKS),
            (175, _IPXE_EFI if uefi else _IPXE_BIOS),
            (61, b"\x01" + bytes(mac)),
            identity,
        )
    if agent is Agent.BIOS:
        return (
            (55, bytes((1, 2, 3, 5, 6, 11, 12, 13, 16, 17, 18, 43, 54, 60, 67, *range(128, 136)))),
            (57, bytes.fromhex("04ec")),
            identity,
            (93, b"\0\0"),
            (94, b"\x01\x02\x01"),
            (60, b"PXEClient:Arch:00000:UNDI:002001"),
        )
    number, name, asks = 7, "PXEClient", _EDK2_ASKS
    if agent is Agent.UEFI_HTTP:
        number, name, asks = 16, "HTTPClient", _HTTP_ASKS
    return (
        _LARGEST,
        (55, asks),
        identity,
        (94, b"\x01\x03\x00"),
        (93, number.to_bytes(2, "big")),
        (60, f"{name}:Arch:{number:05}:UNDI:003000".encode()),
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """What firmware does with its offers.

    `lease` and `boot` are the offers it takes (one offer may be both). Then it either asks `ask` on port 4011, or loads
    `file` from `server`. `problem` says why it can do neither; `remarks` what other firmware of this kind might do.
    """

    lease: DhcpPacket | None
    boot: DhcpPacket | None
    ask: IPv4Address | None = None
    server: IPv4Address = NOWHERE
    file: str = ""
    problem: str = ""
    remarks: tuple[str, ...] = ()


def choose(agent: Agent, offers: Sequence[DhcpPacket]) -> Choice:
    """Judge all offers of one round, in the order in which they came."""
    marker = "HTTPClient" if agent is Agent.UEFI_HTTP else "PXEClient"
    latest = {(offer.server, offer.yiaddr == NOWHERE): offer for offer in offers}
    leases = [offer for (_, proxy), offer in latest.items() if not proxy]
    marked = [offer for offer in leases if offer.vendor_class.startswith(marker)]
    lease = next(iter(marked or leases), None)
    proxies = [o for (_, proxy), o in latest.items() if proxy and o.vendor_class.startswith(marker)]
    strange = [o for (_, proxy), o in latest.items() if proxy and not o.vendor_class.startswith(marker)]
    remarks = [
        f"{o.server} offers no address and its option 60 is {o.vendor_class or 'missing'!r}, not {marker!r}: ignored"
        for o in strange
    ]
    if len({o.server for o in proxies}) > 1:
        others = " and ".join(str(o.server) for o in proxies)
        remarks.append(f"{others} both offer to boot it: which one wins is up to chance")
    if agent is Agent.IPXE and lease is not None and 176 in read_options(lease.options.get(Option.IPXE, b"")):
        remarks.append(f"{lease.server} tells iPXE by option 175.176 to ignore proxyDHCP servers")
        proxies = []
    if marked and proxies:
        remarks.append(f"{marked[0].server} sends option 60 {marker!r} with its lease: other boot offers are ignored")
    boot = next(iter(marked or proxies), None)
    if boot is None and lease is not None and lease.boot_file and agent is not Agent.UEFI_HTTP:
        # Plain BOOTP: the DHCP server itself names a file.
        return Choice(lease, lease, None, lease.boot_server, lease.boot_file, "", tuple(remarks))
    if boot is None:
        return Choice(lease, None, remarks=tuple(remarks))
    return _next(agent, lease, boot, remarks)


def _next(agent: Agent, lease: DhcpPacket | None, boot: DhcpPacket, remarks: list[str]) -> Choice:
    inner = read_options(boot.options.get(Option.VENDOR_OPTIONS, b""))
    just_boot = bool(inner.get(6, b"\0")[:1] > b"" and inner.get(6, b"\0")[0] & 8)
    discovers = any(code in inner for code in (6, 8, 9, 10))
    direct = bool(boot.boot_file)
    if agent is Agent.UEFI_HTTP:
        url = boot.boot_file.startswith(("http://", "https://"))
        problem = "" if url else f"the offer of {boot.server} names no URL but {boot.boot_file or 'nothing'!r}"
        return Choice(lease, boot, None, boot.boot_server, boot.boot_file, problem, tuple(remarks))
    if agent is Agent.BIOS:
        direct = just_boot and direct
        if boot.boot_file and not just_boot:
            remarks.append("option 43 does not say 'just load the file' (06 01 08): it looks for a boot server first")
    elif agent is Agent.IPXE:
        # iPXE needs siaddr beside a plain file name, and goes to port 4011 without it.
        direct = direct and ("://" in boot.boot_file or boot.siaddr != NOWHERE)
    else:
        direct = just_boot and direct
        if discovers:
            remarks.append("UEFI from before April 2017 drops a boot offer with option 43 (tianocore/edk2#6944)")
    if direct:
        return Choice(lease, boot, None, boot.boot_server, boot.boot_file, "", tuple(remarks))
    return Choice(lease, boot, _boot_server(inner, boot), remarks=tuple(remarks))


def _boot_server(inner: dict[int, bytes], boot: DhcpPacket) -> IPv4Address:
    """Whom to ask on port 4011: the first boot server of sub-option 8, else siaddr, else option 54."""
    servers = inner.get(8, b"")
    if len(servers) >= 7 and servers[2]:
        return IPv4Address(servers[3:7])
    return boot.siaddr if boot.siaddr != NOWHERE else boot.server
