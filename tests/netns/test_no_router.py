"""iPXE is told that there is no IPv6 router: in a frame of its own, which no operating system minds."""

import socket

from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6
from scapy.layers.l2 import Ether

from services.ipv6 import no_router
from tests.fakes.dhcp_client import firmware
from tests.netns.conftest import Plug
from tests.netns.inside import TIMEOUT, inside
from tests.netns.ipv6_ear import Ipv6Ear
from tests.netns.scripted_pc import IPXE, ScriptedPc
from tests.netns.served import Box
from tests.room.processes import wait_until

ROUTER = "fe80::1"


def advertise_network(router: ScriptedPc) -> None:
    """What a real router says to all."""
    frame = (
        Ether(src=str(router.mac), dst="33:33:00:00:00:01")
        / IPv6(src=ROUTER, dst="ff02::1", hlim=255)
        / ICMPv6ND_RA(routerlifetime=1800)
        / ICMPv6NDOptPrefixInfo(prefix="2001:db8::", prefixlen=64)
    )
    with inside(router.host), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.sendto(bytes(frame), ("lan0", 0))


async def test_only_the_ipxe_of_a_pc_that_may_boot_is_told(box: Box, plug: Plug) -> None:
    pc, stranger = plug(), plug(stranger=True)
    with Ipv6Ear(pc.host) as ear, Ipv6Ear(stranger.host) as other:
        await stranger.power_on(firmware(0, *IPXE), alone=True)
        await pc.power_on(firmware(0))
        await pc.power_on(firmware(0, *IPXE))
        frame = Ether(ear.await_frame())
        box_itself = box.host.ip("-o", "link", "show", "lan0").split("link/ether ")[1].split()[0]
        assert (frame.dst, frame.src) == (str(pc.mac), box_itself)
        assert bytes(frame[IPv6]) == no_router.advertisement(pc.mac)
        assert other.heard() == []


async def test_a_running_system_keeps_its_ipv6_and_gets_none(box: Box, plug: Plug) -> None:
    """Even if somebody asks as iPXE in its name."""
    pc, router = plug(), plug(stranger=True)
    with Ipv6Ear(pc.host) as ear:
        ear.enable()
        before, taken = ear.configuration(), ear.taken()
        await pc.power_on(firmware(0, *IPXE))
        wait_until(lambda: ear.taken() == taken + 1, TIMEOUT, "the kernel to take the box's advertisement", 0.02)
        assert ear.configuration() == before
        assert "default via" not in before

        advertise_network(router)
        ear.await_address("2001:db8::")
        before, taken = ear.configuration(), ear.taken()
        await pc.power_on(firmware(0, *IPXE))
        wait_until(lambda: ear.taken() == taken + 1, TIMEOUT, "the kernel to take the box's advertisement", 0.02)
        assert ear.configuration() == before
        assert f"default via {ROUTER}" in before
