"""One box on three networks: each is told the address it can reach, and is answered from there, on its own cable.

The third interface is named like a VLAN but is a plain cable: the kernels that the tests run on have no 802.1q.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from image import release
from tests.fakes.dhcp_client import firmware
from tests.fakes.tftp_peer import oack, rrq
from tests.netns.dhcp_box import told
from tests.netns.offices import Office
from tests.netns.scripted_pc import IPXE, LOADERS, BootScript, ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.namespaces import Network
from tests.room.processes import wait_until
from tests.room.room import write_configuration

INTERFACES = ("lan0", "lan1", "lan0.20")
SERVER = """\
pool = ["10.78.0.200-10.78.0.210", "10.79.0.200-10.79.0.210", "10.80.0.200-10.80.0.210"]
router = ["10.78.0.2", "10.79.0.2", "10.80.0.2"]
force = true
"""

SECOND = "10.90.0.1"
"""Another address that the box has on its first interface."""


class ModeBox(Box):
    """The box, in one of the modes of [dhcp]. In all but "server" each network has a DHCP server of its own."""

    mode: str

    def plug(self, office: Office) -> ScriptedPc:
        """Plug in a PC that may boot."""
        return office.plug(site=office.box if self.mode == "server" else "")


@pytest.fixture(scope="module")
def offices() -> Iterator[list[Office]]:
    """Three networks; nothing routes between them."""
    with ExitStack() as stack:
        networks = [stack.enter_context(Network()) for _ in INTERFACES]
        offices = [Office(network, f"10.{78 + number}.0") for number, network in enumerate(networks)]
        yield offices


@pytest.fixture(scope="module", params=["proxy", "off", "server"])
def box(
    offices: list[Office], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ModeBox]:
    """The box on all of them."""
    directory = tmp_path_factory.mktemp(f"box-{request.param}")
    with Network() as own:
        settings = f'[dhcp]\nmode = "{request.param}"\n' + (SERVER if request.param == "server" else "")
        configuration = write_configuration(directory, settings)
        box = ModeBox(own.add("box"), configuration, directory / "data", directory / "serve.log")
        box.mode = request.param
        for office, interface in zip(offices, INTERFACES, strict=True):
            office.connect(box.host, interface)
        box.host.ip("address", "add", f"{SECOND}/24", "dev", "lan0")
        text = box.configuration.read_text().replace('["lan0"]', str(list(INTERFACES)).replace("'", '"'))
        box.configuration.write_text(text.replace('networks = ["10.77.0.0/24"]\n', ""))
        # No NFS server runs here: these tests are not about exports.
        box.forgiven = ["the exports are not in force; trying again"]
        install_release(box.data / "images")
        box.verb("allow", "add", "52:54:00:78:00:*")
        sites = [office.start_site(directory) for office in offices if box.mode != "server"]
        box.start()
        yield box
        for site in sites:
            site.stop()
        assert box.complaints(0) == []


async def test_each_network_boots_from_its_own_address(box: ModeBox, offices: list[Office]) -> None:
    active = release.current(box.data / "images")
    assert active
    with ExitStack() as stack:
        pcs = [stack.enter_context(box.plug(office)) for office in offices]
        for pc in pcs:
            offer = await told(pc, box.mode, firmware(7), 4011)
            assert (offer.siaddr, offer.sname) == (pc.box, pc.box)
            assert offer.options[54] == bytes(map(int, pc.box.split(".")))
            assert offer.options[66] == pc.box.encode() + b"\0"
            answer = await pc.ask_boot_server(firmware(7), 4011)
            assert await pc.load(answer.file, 1468, 4) == (LOADERS / "snponly.efi").read_bytes()
            url = (await told(pc, box.mode, firmware(7, *IPXE), 68)).file
            assert url == f"http://{pc.box}{pc.path('boot.ipxe')}"
            script = BootScript.parse(pc.get(url).decode(), url)
            assert script.argument("nfsroot") == f"{pc.box}:{active.path}"
            assert pc.get(script.kernel) == (active.path / "vmlinuz").read_bytes()
            assert pc.secrets(script.token)[0] == 200
            assert box.await_stage(pc.mac, "kernel")["addresses"] == [pc.address]
        # An answer to one went out on its own cable only: the others were listening all the time.
        for pc in pcs:
            heard = pc.frames.heard()
            assert {frame.source for frame in heard} == {pc.box, pc.site}
            assert {frame.payload[28:34] for frame in heard if frame.port == 68} == {bytes(pc.mac)}
    assert len(box.exported()) >= 1 + len(pcs), "the networks of the interfaces count, when none are configured"


async def test_answers_come_from_the_address_that_was_asked(box: ModeBox, offices: list[Office]) -> None:
    """A PC asks, on its own cable, for the address that the box has on another network."""
    office, other, _ = offices
    with box.plug(office) as pc:
        await told(pc, box.mode, firmware(7, *IPXE), 68)
        pc.host.ip("route", "add", f"{other.prefix}.0/24", "via", pc.box)
        pc.box = other.box
        with pc.tftp() as tftp:  # it fails when an answer comes from elsewhere
            assert oack(await tftp.ask(rrq(f"{pc.mac.bare}/snponly.efi", tsize=0)))
            tftp.send(b"\0\5\0\0the size was all\0")
        assert pc.get(pc.path("boot.ipxe")).startswith(b"#!ipxe")


async def test_of_several_addresses_the_first_is_served(box: ModeBox, offices: list[Office]) -> None:
    assert box.wait_for("the interface has several addresses; the first is served", 0, not_served=f"{SECOND}/24")
    with box.plug(offices[0]) as pc:
        await told(pc, box.mode, firmware(7, *IPXE), 68)
        pc.host.ip("route", "add", f"{SECOND}/32", "via", pc.box)
        pc.box = SECOND
        with pytest.raises(ConnectionRefusedError):
            pc.connect()


@pytest.mark.parametrize("box", ["proxy"], indirect=True)
async def test_an_interface_that_is_gone_and_comes_back(box: ModeBox, offices: list[Office]) -> None:
    """While it is gone the others are served; a new interface of that name needs a restart, which systemd does."""
    first, second, _ = offices
    since = box.mark()
    box.host.ip("address", "delete", f"{second.box}/24", "dev", "lan1")
    box.wait_for("PCs cannot reach the server", since, why=f"the interface lan1 has lost its address {second.box}/24")
    (line,) = [line for line in box.verb("status").stdout.splitlines() if line.startswith("network ")]
    assert line.endswith(f"lan1 has lost its address {second.box}/24")
    box.host.ip("address", "add", f"{second.box}/24", "dev", "lan1")
    box.wait_for("the interfaces are back", since)
    with box.plug(second) as pc:
        await told(pc, box.mode, firmware(7), 4011)

    since = box.mark()
    box.host.ip("link", "delete", "lan1")
    box.wait_for("PCs cannot reach the server", since, why="the interface lan1 is gone")
    assert box.status()["trouble"] == ["the interface lan1 is gone"]
    with box.plug(first) as pc:
        await told(pc, box.mode, firmware(7), 4011)
    second.connect(box.host, "lan1")
    assert box.process
    wait_until(lambda: not box.running, TIMEOUT, "the server to end")
    assert "error: the interface lan1 was deleted and recreated: the server must be" in box.log.read_text()
    box.forgiven.append("not JSON")
    box.start()
    assert box.status()["trouble"] == []
    with box.plug(second) as pc:
        await told(pc, box.mode, firmware(7), 4011)
