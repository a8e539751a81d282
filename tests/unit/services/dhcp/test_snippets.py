"""The texts to paste into a site's DHCP server, as golden files. To renew one, delete it, run this and read it.

tests/netns/test_dhcp_on_this_host.py runs the real servers with them.
"""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.config.loaders import Loaders
from services.dhcp.machines import pxe_files
from services.dhcp.snippets import IPXE_OWN_MAC, BootServer, DhcpProduct, HandOver, render

GOLDEN = Path(__file__).parent / "golden"
SCRIPT = f"http://10.77.0.1/boot/{IPXE_OWN_MAC}/boot.ipxe"
LOADERS = pxe_files(Loaders().by_machine)
BOX = BootServer(IPv4Address("10.77.0.1"), IPv4Network("10.77.0.0/24"), LOADERS, SCRIPT)


@pytest.mark.parametrize(("product", "way"), [(product, way) for product in DhcpProduct for way in product.ways])
def test_text_to_paste(product: DhcpProduct, way: HandOver) -> None:
    text = render(product, way, BOX)
    golden = GOLDEN / f"{product}-{way}.txt"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
        pytest.fail(f"{golden} was missing and is written: read it")
    assert text == golden.read_text()


@pytest.mark.parametrize("product", DhcpProduct)
def test_every_loader_is_in_each_text(product: DhcpProduct) -> None:
    more = {**LOADERS, 6: "another.efi"}
    text = render(product, HandOver.OPTIONS, BootServer(BOX.address, BOX.network, more, SCRIPT))
    assert text.count("another.efi") == 1
    assert all(name in text for name in LOADERS.values())


@pytest.mark.parametrize("product", [DhcpProduct.WINDOWS, DhcpProduct.MIKROTIK])
def test_a_server_that_never_runs_on_our_host_cannot_use_our_port_4011(product: DhcpProduct) -> None:
    with pytest.raises(ValueError, match="does not support the way pxe"):
        render(product, HandOver.PXE, BOX)
