"""What is pasted into the site's DHCP servers, as golden files. To renew one, delete it, run this and read it.

The servers' own opinion of them is in tests/netns/test_dhcp_on_this_host.py.
"""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.config.loaders import Loaders
from services.dhcp.firmware import pxe_files
from services.dhcp.snippets import IPXE_OWN_MAC, BootServer, DhcpProduct, HandOver, render

GOLDEN = Path(__file__).parent / "golden"
SCRIPT = f"http://10.77.0.1/boot/{IPXE_OWN_MAC}/boot.ipxe"
LOADERS = pxe_files(Loaders().by_machine)
BOX = BootServer(IPv4Address("10.77.0.1"), IPv4Network("10.77.0.0/24"), LOADERS, SCRIPT)


@pytest.mark.parametrize(("server", "way"), [(server, way) for server in DhcpProduct for way in server.ways])
def test_what_is_pasted(server: DhcpProduct, way: HandOver) -> None:
    text = render(server, way, BOX)
    golden = GOLDEN / f"{server}-{way}.txt"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
        pytest.fail(f"{golden} was missing and is written: read it")
    assert text == golden.read_text()


@pytest.mark.parametrize("server", DhcpProduct)
def test_the_one_table_of_loaders_is_in_each(server: DhcpProduct) -> None:
    more = {**LOADERS, 11: "arm64.efi"}
    text = render(server, HandOver.OPTIONS, BootServer(BOX.address, BOX.network, more, SCRIPT))
    assert text.count("arm64.efi") == 1
    assert all(name in text for name in LOADERS.values())


@pytest.mark.parametrize("server", [DhcpProduct.WINDOWS, DhcpProduct.MIKROTIK])
def test_a_server_that_is_never_on_our_host_cannot_use_our_port_4011(server: DhcpProduct) -> None:
    with pytest.raises(ValueError, match="cannot go the way pxe"):
        render(server, HandOver.PXE, BOX)
