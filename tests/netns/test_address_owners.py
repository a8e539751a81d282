"""Who owns an address: PCs that run, strangers that claim their addresses, PCs that fall silent and come back.

The real server, NFS-Ganesha, and frames of strangers. "Silent" is a matter of seconds here: impatient_serve.py.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from itertools import count
from typing import Any

import pytest

from services.ethernet import MacAddress
from tests.fakes.dhcp_client import INFORM, REQUEST, message
from tests.netns.attacked_box import FarPc
from tests.netns.inside import Client
from tests.netns.scripted_pc import BootScript, ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.netns.walled_box import Wire, call, connection
from tests.room.namespaces import Namespace, assert_nothing_left
from tests.room.processes import Process, wait_until
from tests.room.room import BOX, CHECKOUT, Room, appliance_command

PC_RANGE = "52:54:00:77:0a:*"
GATEWAY = "10.77.0.254"
FAR = "10.79.0"
"""The network behind the gateway, which itself has all its addresses."""

_numbers = count(1)
Plug = Callable[..., ScriptedPc]


class OwnedBox(Box):
    """The box of this module. `impatient`: its PCs are silent after seconds."""

    impatient = False

    def launch(self) -> Process:
        program = [sys.executable, "-m", "tests.netns.impatient_serve"] if self.impatient else [appliance_command()]
        command = ["env", f"PYTHONPATH={CHECKOUT}", *program, "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def claims(self) -> list[Any]:
        """Who claims whose address, as `status --json` says."""
        claims = self.status()["claims"]
        assert isinstance(claims, list)
        return claims

    def await_claims(self, *claims: tuple[str, object, object]) -> None:
        """Wait until these are among the claims: address, claimant, holder."""
        wanted = {(address, str(claimant), str(holder)) for address, claimant, holder in claims}
        wait_until(
            lambda: wanted <= {(each["address"], each["claimant"], each["holder"]) for each in self.claims()},
            TIMEOUT,
            f"the claims {wanted}",
            0.5,
        )


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """A room with a gateway to another network, and nobody serving yet."""
    with Room(tmp_path_factory.mktemp("owners")) as room:
        text = room.configuration.read_text().replace('["10.77.0.0/24"]', f'["10.77.0.0/24", "{FAR}.0/24"]')
        room.configuration.write_text(text)
        install_release(room.data / "images")
        room.appliance("allow", "add", PC_RANGE, "--label", "room 12")
        room.start_box()
        assert room.serve
        room.serve.stop()
        room.box.ip("route", "add", f"{FAR}.0/24", "via", GATEWAY)
        yield room
    assert_nothing_left(room.network.room)


@pytest.fixture(scope="module")
def gateway(room: Room) -> Namespace:
    """All addresses of the network behind it."""
    gateway = room.network.host("gateway", f"{GATEWAY}/24", MacAddress.parse("02:77:00:00:00:fe"))
    gateway.ip("route", "add", "local", f"{FAR}.0/24", "dev", "lan0")
    return gateway


@contextlib.contextmanager
def served(room: Room, *, impatient: bool) -> Iterator[OwnedBox]:
    box = OwnedBox(room.box, room.configuration, room.data, room.logs / f"serve-{impatient}.log")
    box.impatient = impatient
    since = box.mark()
    box.start()
    yield box
    assert box.process
    box.process.stop()
    assert box.complaints(since) == []


@pytest.fixture
def box(room: Room) -> Iterator[OwnedBox]:
    """The box as it is."""
    with served(room, impatient=False) as box:
        yield box


@pytest.fixture
def impatient(room: Room) -> Iterator[OwnedBox]:
    """The box whose PCs are silent after seconds."""
    with served(room, impatient=True) as box:
        yield box


@pytest.fixture
def plug(room: Room) -> Iterator[Plug]:
    """Plug in a PC: one that may boot, or a stranger."""
    plugged: list[ScriptedPc] = []

    def plug(*, stranger: bool = False) -> ScriptedPc:
        number = next(_numbers)
        mac = MacAddress.parse(f"{'02:66:00:00:00' if stranger else '52:54:00:77:0a'}:{number:02x}")
        plugged.append(ScriptedPc(room.network, mac, f"owner{number}"))
        return plugged[-1]

    yield plug
    for pc in plugged:
        pc.switch_off()


def answered(host: Namespace) -> bool:
    """Whether NFS answers this host now."""
    with contextlib.suppress(OSError), connection(host) as tcp:
        return call(tcp)
    return False


async def test_a_burst_of_forged_arp_takes_nothing_from_running_pcs(box: OwnedBox, plug: Plug) -> None:
    pcs = [plug() for _ in range(4)]
    stranger = plug(stranger=True)
    for pc in pcs:
        await pc.run_ipxe()
    granted = {pc.mac: {pc.address} for pc in pcs}
    box.await_exports(granted)
    stranger.use("10.77.0.66")
    with Wire(stranger.host) as wire:
        for last in range(3, 253):
            wire.say_arp(f"10.77.0.{last}", asked=str(BOX))
    box.await_claims(*((pc.address, stranger.mac, pc.mac) for pc in pcs))
    assert {mac: box.in_force(mac) for mac in granted} == granted
    for pc in pcs:
        assert answered(pc.host)
        assert box.boot(pc.mac)["addresses"] == [pc.address]


async def test_who_takes_the_address_of_a_running_pc_is_named_and_gets_nothing(box: OwnedBox, plug: Plug) -> None:
    pc, stranger = plug(), plug(stranger=True)
    await pc.run_ipxe()
    box.await_exports({pc.mac: {pc.address}})
    with connection(pc.host) as tcp:
        assert call(tcp)
        stranger.use(pc.address)
        with Wire(stranger.host) as wire:
            for _ in range(5):
                wire.say_arp(pc.address)
                wire.say_arp(pc.address, asked=str(BOX), answer=True)
        box.await_claims((pc.address, stranger.mac, pc.mac))
        assert call(tcp), "what it has mounted goes on"
    words = f"{stranger.mac} claims {pc.address} of room 12 ({pc.mac})"
    assert words in box.verb("status").stdout
    doctor = box.verb("doctor", check=False).stdout
    assert f"WARNING {words}" in doctor
    assert f"find {stranger.mac} in the address table of the switch" in doctor
    assert box.in_force(pc.mac) == {pc.address}


async def test_of_two_pcs_with_one_address_the_first_comes_to_no_harm(box: OwnedBox, plug: Plug) -> None:
    first, second = plug(), plug()
    await first.run_ipxe()
    box.await_exports({first.mac: {first.address}})
    await second.run_ipxe()
    box.await_exports({second.mac: {second.address}})
    second.use(first.address)
    with Wire(second.host) as wire:
        wire.say_arp(first.address)
    box.await_claims((first.address, second.mac, first.mac))
    (claim,) = (each for each in box.claims() if each["claimant"] == str(second.mac))
    assert (claim["claimant_label"], claim["holder_label"]) == ("room 12", "room 12")
    assert box.in_force(first.mac) == {first.address}
    second.switch_off()
    assert answered(first.host)


async def test_the_next_holder_gets_through_once_the_pc_is_silent(impatient: OwnedBox, plug: Plug) -> None:
    first, second = plug(), plug()
    await first.run_ipxe()
    impatient.await_exports({first.mac: {first.address}})
    assert answered(first.host)
    first.switch_off()
    await second.power_on([(77, b"iPXE")], alone=True)
    second.use(first.address)

    def boots() -> bool:
        with contextlib.suppress(OSError):
            second.get(second.path("boot.ipxe"))
            return True
        return False

    wait_until(boots, TIMEOUT, "the second PC to get its script", 0.5)
    impatient.await_exports({first.mac: set(), second.mac: {second.address}})
    assert answered(second.host)


async def test_a_pc_that_was_unplugged_goes_on_without_a_reboot(impatient: OwnedBox, plug: Plug) -> None:
    pc, stranger = plug(), plug(stranger=True)
    script = await pc.run_ipxe()
    for stage in ("root-mounted", "reported", "computing"):
        assert pc.report(script.token, stage) == 204
    impatient.await_exports({pc.mac: {pc.address}})
    assert answered(pc.host)
    pc.host.ip("link", "set", "lan0", "down")
    stranger.use(pc.address)

    def taken() -> bool:
        with contextlib.suppress(OSError):
            stranger.say_http(b"GET / HTTP/1.1\r\n\r\n")
        return impatient.in_force(pc.mac) == set()

    with contextlib.suppress(TimeoutError):
        wait_until(taken, TIMEOUT, "the stranger to have the address", 0.5)
    assert impatient.in_force(pc.mac) == set()
    assert not answered(stranger.host)
    stranger.host.ip("link", "set", "lan0", "down")
    pc.host.ip("link", "set", "lan0", "up")
    wait_until(lambda: answered(pc.host), TIMEOUT, "the PC to reach its files again", 0.5)
    # The wall opens first, and NFS-Ganesha is told a moment later.
    impatient.await_exports({pc.mac: {pc.address}})
    assert impatient.boot(pc.mac)["stage"] == "computing", "still the same boot"


async def test_behind_a_router_a_dhcprequest_exports_nothing(box: OwnedBox, gateway: Namespace, plug: Plug) -> None:
    """And an honest PC gets its exports: at the address of its iPXE, and at that of its live system."""
    stranger = plug(stranger=True)
    stranger.use("10.77.0.67")
    mac = MacAddress.parse("52:54:00:77:0a:f1")
    pc, live = (FarPc(gateway, mac, f"{FAR}.{last}", str(BOX)) for last in (7, 8))
    url = f"/boot/{mac.bare}/boot.ipxe"
    script = BootScript.parse(pc.get(url).decode(), f"http://{BOX}{url}")
    box.await_exports({mac: {pc.address}})
    made_up = f"{FAR}.99"
    with stranger.nic() as nic:
        nic.say(message(REQUEST, bytes(mac), [(50, IPv4Address(made_up).packed)]))
        nic.say(message(REQUEST, bytes(mac), ciaddr=made_up))
        nic.say(message(INFORM, bytes(mac), ciaddr=made_up))
    with Client(gateway, bytes(mac)) as relay:
        relay.say(message(REQUEST, bytes(mac), [(50, IPv4Address(made_up).packed)], giaddr=GATEWAY), str(BOX), 67)
    # DHCP and HTTP are answered in turn: by then the forged ones had their effect.
    assert live.get(f"/boot/{mac.bare}/{script.token}/boinc.tar")
    box.await_exports({mac: {pc.address, live.address}})
    assert box.boot(mac)["addresses"] == [pc.address, live.address]
    assert made_up not in str(box.exported())


async def test_behind_a_router_the_name_of_a_running_pc_takes_nothing_from_it(
    impatient: OwnedBox, gateway: Namespace
) -> None:
    mac = MacAddress.parse("52:54:00:77:0a:f2")
    pc, thief = (FarPc(gateway, mac, f"{FAR}.{last}", str(BOX)) for last in (17, 66))
    url = f"/boot/{mac.bare}/boot.ipxe"
    script = BootScript.parse(pc.get(url).decode(), f"http://{BOX}{url}")
    assert pc.get(f"/boot/{mac.bare}/{script.token}/boinc.tar")
    impatient.await_exports({mac: {pc.address}})
    gateway.ip("route", "replace", f"{BOX}/32", "dev", "lan0", "src", pc.address)
    try:
        assert answered(gateway)
        wait_until(lambda: impatient.boot(mac)["addresses"] == [pc.address], TIMEOUT, "the look of a second", 0.5)
        thief.get(url)
        impatient.await_exports({mac: {pc.address, thief.address}})
        assert answered(gateway)
    finally:
        gateway.ip("route", "del", f"{BOX}/32")


async def test_on_the_link_nobody_is_a_pc_behind_the_router(box: OwnedBox, gateway: Namespace, plug: Plug) -> None:
    stranger = plug(stranger=True)
    mac = MacAddress.parse("52:54:00:77:0a:f3")
    pc = FarPc(gateway, mac, f"{FAR}.27", str(BOX))
    url = f"/boot/{mac.bare}/boot.ipxe"
    pc.get(url)
    box.await_exports({mac: {pc.address}})
    stranger.use("10.77.0.68")
    stranger.host.ip("address", "add", f"{pc.address}/32", "dev", "lan0")
    stranger.host.ip("route", "replace", f"{BOX}/32", "dev", "lan0", "src", pc.address)
    with Wire(stranger.host) as wire:
        for _ in range(5):
            wire.say_arp(GATEWAY)
            wire.say_arp(GATEWAY, asked=str(BOX), answer=True)
        assert not answered(stranger.host)
        assert wire.nfs() == []
    with pytest.raises(OSError):
        stranger.http(f"/boot/{mac.bare}/boot.ipxe")
    box.await_claims((pc.address, stranger.mac, mac))
    assert box.in_force(mac) == {pc.address}
