"""What each firmware does with its offers, and that a probe sends what real firmware was captured sending."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from services.dhcp.message import MessageType
from services.ethernet import MacAddress
from services.probe import codec
from services.probe.firmware import Agent, choose, recognise, requests
from services.probe.message import NOWHERE, DhcpPacket
from tests.captures import datagrams
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.unit.services.probe.wire import BOX, JUST_BOOT, MAC, OTHER, SITE, boot, decoded, lease

EFI = "a/snponly.efi"
URL = f"http://{OTHER}/x"
PXE = (60, b"PXEClient")
MENU = (43, bytes.fromhex("06010308078001010a4d0005ff"))


def told(agent: Agent, *offers: DhcpPacket) -> tuple[str, str, str]:
    """Whose lease it takes, whom it asks on port 4011, and what it loads from where."""
    choice = choose(agent, offers)
    load = f"{choice.file} from {choice.server}" if choice.file else ""
    return str(choice.lease.server) if choice.lease else "", str(choice.ask or ""), load


@pytest.mark.parametrize(
    ("agent", "offers", "expected"),
    [
        (Agent.BIOS, (lease(), boot(BOX, (43, JUST_BOOT), file="a")), (SITE, "", f"a from {BOX}")),
        (Agent.BIOS, (lease(), boot(file="a")), (SITE, BOX, "")),
        (Agent.BIOS, (lease(), boot(BOX, MENU)), (SITE, OTHER, "")),
        (Agent.BIOS, (lease(file="b"),), (SITE, "", f"b from {SITE}")),
        (Agent.BIOS, (lease(file="b"), boot(BOX, (43, JUST_BOOT), file="a")), (SITE, "", f"a from {BOX}")),
        (Agent.BIOS, (lease(), lease(OTHER, PXE, (43, JUST_BOOT), file="c")), (OTHER, "", f"c from {OTHER}")),
        (Agent.UEFI, (boot(file=EFI), lease()), (SITE, BOX, "")),
        (Agent.UEFI, (boot(BOX, (43, JUST_BOOT), file=EFI), lease()), (SITE, "", f"{EFI} from {BOX}")),
        (Agent.UEFI, (lease(SITE, (60, b"PXEClient")), boot(file=EFI)), (SITE, SITE, "")),
        (Agent.UEFI_HTTP, (lease(), boot(file=EFI)), (SITE, "", "")),
        (Agent.UEFI_HTTP, (lease(), boot(name="HTTP", file=URL)), (SITE, "", f"{URL} from {OTHER}")),
        (Agent.IPXE, (lease(), boot(file=f"http://{BOX}/s")), (SITE, "", f"http://{BOX}/s from {BOX}")),
        (Agent.IPXE, (lease(), boot(BOX, MENU)), (SITE, OTHER, "")),
        (Agent.IPXE, (lease(SITE, (175, bytes.fromhex("b00101"))), boot(file="http://x/s")), (SITE, "", "")),
        (Agent.BIOS, (boot(BOX, (43, JUST_BOOT), file="a"),), ("", "", f"a from {BOX}")),
    ],
)  # fmt: skip
def test_what_firmware_does_with_offers(
    agent: Agent, offers: tuple[DhcpPacket, ...], expected: tuple[str, str, str]
) -> None:
    assert told(agent, *offers) == expected


@pytest.mark.parametrize(
    ("agent", "offers", "remark"),
    [
        (Agent.UEFI, (lease(), boot(BOX, (43, JUST_BOOT), file=EFI)), "before April 2017"),
        (Agent.BIOS, (lease(), boot(file="a")), "06 01 08"),
        (Agent.BIOS, (lease(SITE, (60, b"PXEClient")), boot(file="a")), f"{SITE} sends option 60 'PXEClient'"),
        (Agent.BIOS, (lease(), boot(BOX, file="a"), boot(OTHER, file="b")), f"{BOX} and {OTHER} both offer"),
        (Agent.UEFI_HTTP, (lease(), boot(file=EFI)), "not 'HTTPClient': ignored"),
        (Agent.IPXE, (lease(SITE, (175, bytes.fromhex("b00101"))),), "175.176"),
    ],
)
def test_remarks_on_offers(agent: Agent, offers: tuple[DhcpPacket, ...], remark: str) -> None:
    assert remark in " | ".join(choose(agent, offers).remarks)


def test_an_offer_for_http_boot_without_a_url() -> None:
    assert "names no URL" in choose(Agent.UEFI_HTTP, (lease(), boot(name="HTTP", file="x.efi"))).problem


@pytest.mark.parametrize(
    ("architecture", "more", "agent"),
    [
        (0, [], Agent.BIOS),
        (7, [], Agent.UEFI),
        (9, [], Agent.UEFI),
        (11, [], Agent.OTHER),
        (7, [(77, b"iPXE")], Agent.IPXE),
        (0, [(175, b"\x13\x01\x01")], Agent.IPXE),
    ],
)
def test_agents_are_recognised(architecture: int, more: list[tuple[int, bytes]], agent: Agent) -> None:
    assert recognise(decoded(message(DISCOVER, bytes(MAC), firmware(architecture, *more)))) is agent


def test_an_operating_system_is_not_firmware() -> None:
    assert recognise(decoded(message(DISCOVER, bytes(MAC), [(60, b"MSFT 5.0")]))) is Agent.SYSTEM
    assert recognise(decoded(message(DISCOVER, bytes(MAC)))) is Agent.SYSTEM


@pytest.mark.parametrize(
    ("name", "agent", "uefi"),
    [
        ("bios-ipxe-virtio.pcap", Agent.IPXE, False),
        ("uefi-http-proxy.pcap", Agent.IPXE, True),
        ("uefi-http-proxy.pcap", Agent.UEFI_HTTP, True),
        ("uefi-pxe-edk2-head.pcap", Agent.UEFI, True),
    ],
)
def test_a_probe_sends_what_was_captured(name: str, agent: Agent, uefi: bool) -> None:
    captured = next(each for each in (decoded(d.payload) for d in datagrams(name, 67)) if recognise(each) is agent)
    ours = decoded(
        codec.encode_dhcp(
            MessageType.DISCOVER, MAC, requests(agent, MAC, uefi=uefi), xid=captured.xid, secs=captured.secs
        )
    )
    # The captured virtual machine had no UUID and sent zeros.
    assert ours.options[97] == bytes(11) + bytes(MAC)
    assert list(ours.options) == list(captured.options)
    assert {**ours.options, 97: captured.options[97]} == captured.options
    assert (ours.mac, ours.xid, ours.secs, ours.ciaddr) == (MAC, captured.xid, captured.secs, NOWHERE)


def test_a_discover_asks_for_broadcast_answers_and_a_boot_request_does_not() -> None:
    for kind, flags in ((MessageType.DISCOVER, b"\x80\0"), (MessageType.REQUEST, b"\0\0")):
        data = codec.encode_dhcp(kind, MAC, requests(Agent.BIOS, MAC, uefi=False), xid=1)
        assert (data[10:12], data[28:34], len(data) >= 300) == (flags, bytes(MAC), True)


def test_option_97_contains_the_mac_address_of_the_pc() -> None:
    mac = MacAddress.parse("02:00:00:00:00:07")
    assert dict(requests(Agent.BIOS, mac, uefi=False))[97].endswith(bytes(mac))


def test_siaddr_goes_before_option_54() -> None:
    for agent, offered in ((Agent.UEFI, boot(file=EFI)), (Agent.BIOS, boot(BOX, (43, JUST_BOOT), file="a"))):
        elsewhere = replace(offered, siaddr=IPv4Address(OTHER))
        choice = choose(agent, (lease(), elsewhere))
        assert (choice.ask or choice.server) == IPv4Address(OTHER)
        nowhere = replace(offered, siaddr=NOWHERE)
        choice = choose(agent, (lease(), nowhere))
        assert (choice.ask or choice.server) == IPv4Address(BOX)
