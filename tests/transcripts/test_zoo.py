"""The firmware zoo on a fake clock: whole power-ons with all retries, and what the box learns about firmware."""

from collections.abc import Callable

import pytest

from appliance.config.loaders import Loaders
from appliance.firmware.knowledge import ClientFirmware, FirmwareKnowledge
from services.decision import Ignore
from services.dhcp import packet
from services.dhcp.fingerprint import fingerprint
from services.dhcp.plan import Profile
from services.ethernet import MacAddress
from tests.zoo import shim
from tests.zoo.bios import Bios, DeafBios
from tests.zoo.edk2 import Edk2, Edk2Of2014
from tests.zoo.firmware import Firmware, Load
from tests.zoo.http_boot import HttpBoot
from tests.zoo.ipxe import Ipxe, IpxeOf2010
from tests.zoo.network import Network
from tests.zoo.raspberry_pi import RaspberryPi

PC = MacAddress.parse("52:54:00:aa:bb:01")
FELLOW = MacAddress.parse("52:54:00:aa:bb:02")
PI = MacAddress.parse("b8:27:eb:aa:bb:01")
RELAY = "10.78.0.1"

BY_4011 = """
       0.0 PC: DISCOVER
       0.0 box: OFFER 525400aabb01/snponly.efi
       4.0 PC: REQUEST
       4.0 PC: REQUEST to 10.77.0.1:4011
       4.0 box: ACK 525400aabb01/snponly.efi
       4.0 PC: loads 525400aabb01/snponly.efi from 10.77.0.1
"""
SCRIPT = "http://10.77.0.1/boot/525400aabb01/boot.ipxe"
STORIES: dict[str, tuple[Callable[[], Firmware], str]] = {
    "EDK2 since 2018": (lambda: Edk2(PC), BY_4011),
    "EDK2 of 2014": (lambda: Edk2Of2014(PC), BY_4011),
    "BIOS": (
        lambda: Bios(PC),
        """
           0.0 PC: DISCOVER
           0.0 box: OFFER 525400aabb01/undionly.kpxe 43 060108ff
           4.0 PC: REQUEST
           4.0 PC: loads 525400aabb01/undionly.kpxe from 10.77.0.1
        """,
    ),
    "BIOS that asks port 4011": (
        lambda: Bios(PC, asks=True),
        """
           0.0 PC: DISCOVER
           0.0 box: OFFER 525400aabb01/undionly.kpxe 43 060108ff
           4.0 PC: REQUEST
           4.0 PC: REQUEST to 10.77.0.1:4011
           4.0 box: ACK 525400aabb01/undionly.kpxe 43 060108470480010000ff
           4.0 PC: loads 525400aabb01/undionly.kpxe from 10.77.0.1
        """,
    ),
    "UEFI HTTP boot": (
        lambda: HttpBoot(PC),
        """
           0.0 PC: DISCOVER
           0.0 box: OFFER http://10.77.0.1/boot/525400aabb01/loader/snponly.efi
           4.0 PC: REQUEST
           4.0 PC: loads http://10.77.0.1/boot/525400aabb01/loader/snponly.efi from 10.77.0.1
        """,
    ),
    "Raspberry Pi": (
        lambda: RaspberryPi(PI),
        """
           0.0 PC: DISCOVER
           1.0 box: OFFER bootcode.bin 43 0601030a0400505845091400001152617370626572727920506920426f6f74ff
           4.0 PC: REQUEST
           4.0 PC: loads bootcode.bin from 10.77.0.1
        """,
    ),
}


def make_network(
    site_delay: float | None = 0.0, relay: str = "", *, leases: bool = False, shim: bool = False
) -> Network:
    """A network whose box has loaders for the whole zoo."""
    return Network(site_delay, relay, leases, shim, Loaders(raspberry_pi="pi"))


def text(expected: str) -> str:
    """A transcript without the indentation it has here."""
    return "\n".join(line.strip() for line in expected.strip().split("\n"))


@pytest.mark.parametrize("site_delay", [0.0, 3.0], ids=["site answers at once", "site answers after 3 s"])
@pytest.mark.parametrize("name", STORIES)
def test_it_boots_at_its_first_try(name: str, site_delay: float) -> None:
    make, story = STORIES[name]
    assert make_network(site_delay).boot(make()) == text(story)


@pytest.mark.parametrize("name", STORIES)
def test_it_boots_through_a_relay(name: str) -> None:
    make, story = STORIES[name]
    assert make_network(relay=RELAY).boot(make()) == text(story)


def test_ipxe_takes_offer_and_lease_as_soon_as_it_has_both() -> None:
    offer = f"box: OFFER {SCRIPT} 43 060108ff"
    assert make_network().boot(Ipxe(PC)) == text(f"""
        0.0 PC: DISCOVER
        0.0 {offer}
        0.0 PC: REQUEST
        0.0 PC: loads {SCRIPT} from 10.77.0.1
    """)
    assert make_network(2.0).boot(Ipxe(PC)) == text(f"""
        0.0 PC: DISCOVER
        0.0 {offer}
        1.0 PC: DISCOVER
        1.0 {offer}
        2.0 PC: REQUEST
        2.0 PC: loads {SCRIPT} from 10.77.0.1
    """)


def test_an_old_ipxe_asks_port_4011() -> None:
    assert make_network().boot(IpxeOf2010(PC, architecture=7)) == text(f"""
        0.0 PC: DISCOVER
        0.0 box: OFFER {SCRIPT}
        0.0 PC: REQUEST
        0.0 PC: REQUEST to 10.77.0.1:4011
        0.0 box: ACK {SCRIPT}
        0.0 PC: loads {SCRIPT} from 10.77.0.1
    """)


SERVER_STORIES: dict[str, tuple[Callable[[], Firmware], str]] = {
    # Given a lease with class PXEClient and no option 43, EDK2 would ask port 4011 as well.
    "EDK2": (
        lambda: Edk2(PC),
        """
            0.0 PC: DISCOVER
            0.4 box: OFFER 10.77.0.134 525400aabb01/snponly.efi
            4.0 PC: REQUEST
            4.0 box: ACK 10.77.0.134 525400aabb01/snponly.efi
            4.0 PC: loads 525400aabb01/snponly.efi from 10.77.0.1
        """,
    ),
    "BIOS": (
        lambda: Bios(PC),
        """
            0.0 PC: DISCOVER
            0.4 box: OFFER 10.77.0.134 525400aabb01/undionly.kpxe 43 060108ff
            4.0 PC: REQUEST
            4.0 box: ACK 10.77.0.134 525400aabb01/undionly.kpxe 43 060108ff
            4.0 PC: loads 525400aabb01/undionly.kpxe from 10.77.0.1
        """,
    ),
    "iPXE": (
        lambda: Ipxe(PC),
        f"""
            0.0 PC: DISCOVER
            0.4 box: OFFER 10.77.0.134 {SCRIPT} 43 060108ff
            0.4 PC: REQUEST
            0.4 box: ACK 10.77.0.134 {SCRIPT} 43 060108ff
            0.4 PC: loads {SCRIPT} from 10.77.0.1
        """,
    ),
}


@pytest.mark.parametrize("name", SERVER_STORIES)
def test_where_the_box_is_the_dhcp_server_one_answer_is_enough(name: str) -> None:
    make, story = SERVER_STORIES[name]
    assert make_network(None, leases=True).boot(make()) == text(story)


@pytest.mark.parametrize("relay", ["", RELAY], ids=["", "through a relay"])
@pytest.mark.parametrize("name", STORIES)
def test_the_whole_zoo_boots_with_the_box_as_dhcp_server(name: str, relay: str) -> None:
    make, story = STORIES[name]
    firmware = make()
    transcript = make_network(None, relay, leases=True).boot(firmware)
    assert transcript.split("\n")[-1] == text(story).split("\n")[-1]
    assert firmware.address == ("10.78.0.134" if relay else "10.77.0.134")


def test_a_rom_that_misses_instant_answers_boots_at_its_second_power_on_and_from_then_on() -> None:
    network, rom = make_network(1.0), DeafBios(PC)
    assert network.boot(rom) == text("""
        0.0 PC: DISCOVER
        0.0 box: OFFER 525400aabb01/undionly.kpxe 43 060108ff
        4.0 PC: DISCOVER
        4.0 box: OFFER 525400aabb01/undionly.kpxe 43 060108ff
        12.0 PC: DISCOVER
        12.0 box: OFFER 525400aabb01/undionly.kpxe
        28.0 PC: DISCOVER
        28.0 box: OFFER 525400aabb01/undionly.kpxe
        60.0 PC: no boot offer
    """)
    for _ in range(3):
        assert network.boot(rom) == text("""
            0.0 PC: DISCOVER
            1.0 box: OFFER 525400aabb01/undionly.kpxe 43 060108ff
            4.0 PC: REQUEST
            4.0 PC: loads 525400aabb01/undionly.kpxe from 10.77.0.1
        """)
        network.load(rom, starts=True)


@pytest.mark.parametrize("fresh", [Edk2, Edk2Of2014])
def test_a_pc_that_needs_another_offer_than_its_fellows_gets_it(fresh: type[Edk2]) -> None:
    """The two look alike: the same vendor class, the same maker. One accepts option 43, one drops the offer."""
    network, fellow, pc = make_network(), Edk2(FELLOW), fresh(PC)
    network.clients[FELLOW] = learned(fellow, Profile.VENDOR_OPTIONS)
    assert isinstance(booted(network, fellow), Load)
    network.load(fellow, starts=True)
    for _ in range(3):
        assert isinstance(booted(network, pc), Load)
        assert (network.profiles[-1] is Profile.VENDOR_OPTIONS) is (fresh is Edk2)
        network.load(pc, starts=True)


def test_secure_boot_leads_to_shim_for_good() -> None:
    network, pc = make_network(shim=True), Edk2(PC)
    assert booted(network, pc) == Load("10.77.0.1", "525400aabb01/snponly.efi", pc.file_options, sized=True)
    network.load(pc, starts=False)
    for _ in range(2):
        assert booted(network, pc) == Load("10.77.0.1", "525400aabb01/shimx64.efi", pc.file_options, sized=True)
        network.load(pc, starts=True)


def test_a_site_without_dhcp_for_a_while_does_no_lasting_harm() -> None:
    for make in (Edk2, Edk2Of2014, Bios, HttpBoot):
        network, pc = make_network(), make(PC)
        network.site_delay = None
        for _ in range(3):
            assert booted(network, pc) == "no boot offer"
        network.site_delay = 0.0
        assert any(isinstance(booted(network, pc), Load) for _ in range(2)), make


@pytest.mark.parametrize("worked", [False, True])
@pytest.mark.parametrize("profile", [each for each in Profile if each is not Profile.SHIM])
@pytest.mark.parametrize("name", STORIES)
def test_whatever_was_learned_it_boots_at_the_third_power_on_at_the_latest(
    name: str, profile: Profile, worked: bool
) -> None:
    firmware, fellow = STORIES[name][0](), Edk2(FELLOW)
    network = make_network()
    network.clients[firmware.mac] = learned(firmware, profile, worked)
    for _ in range(3):
        if isinstance(booted(network, firmware), Load):
            break
        # While no other PC boots, a profile that has worked is kept: the site's DHCP server may be down.
        network.boot(fellow)
        network.load(fellow, starts=True)
    else:
        pytest.fail("it never boots again")
    network.load(firmware, starts=True)
    for _ in range(2):
        assert isinstance(booted(network, firmware), Load), "it boots for good"
        network.load(firmware, starts=True)


def test_shim_looks_beside_itself() -> None:
    beside = [*shim.reads("525400aabb01/shimx64.efi")]
    assert beside[0] == "525400aabb01/revocations.efi"
    assert beside[-1] == "525400aabb01/grubx64.efi"
    assert [*shim.reads("a\\shimx64.efi")][-1] == "a\\grubx64.efi"
    assert [*shim.reads("525400aabb01/shimx64.efi", lost=True)][-1] == "grubx64.efi"


def booted(network: Network, firmware: Firmware) -> Load | str | None:
    """The outcome of one power-on."""
    network.boot(firmware)
    return firmware.outcome


def learned(firmware: Firmware, profile: Profile, worked: bool = True) -> ClientFirmware:
    """A client whose firmware takes `profile`, as the box believes."""
    (discover,) = firmware.power_on(0.0)
    read = packet.decode(discover.payload)
    assert not isinstance(read, Ignore)
    return ClientFirmware(firmwares=(FirmwareKnowledge(fingerprint(read), profile, worked),))
