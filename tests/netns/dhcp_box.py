"""A box that is the DHCP server of its segment, its recorded leases, and a PC that takes one."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from appliance.dhcp import leases
from appliance.registry.database import Registry
from services.dhcp.lease import Lease, State
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import REQUEST, Answer, message
from tests.netns.offices import Office
from tests.netns.scripted_pc import BROADCAST, ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.namespaces import Namespace, Network
from tests.room.processes import wait_until
from tests.room.room import write_configuration

PREFIX = "10.78.0"
LEASE_SECONDS = 12

# `force`: otherwise it would look for other servers at each start (test_dhcp_server_others.py).
SETTINGS = """\
[dhcp]
mode = "server"
pool = ["10.78.0.100-10.78.0.150"]
lease_time = {seconds}
router = ["10.78.0.254"]
dns = ["10.78.0.53", "10.78.0.54"]
ntp = ["10.78.0.123"]
force = true
"""

_numbers = count(1)


class DhcpBox(Box):
    """The box in its segment."""

    def __init__(self, network: Network, directory: Path, settings: str) -> None:
        host = network.add("box")
        super().__init__(host, write_configuration(directory), directory / "data", directory / "serve.log")
        self.network = network
        self.office = Office(network, PREFIX)
        self.office.connect(host, "lan0")
        self._text = self.configuration.read_text().replace('networks = ["10.77.0.0/24"]\n', "")
        # No NFS server runs here: these tests are not about exports.
        self.forgiven = ["the exports are not in force; trying again"]
        install_release(self.data / "images")
        self.verb("allow", "add", "52:54:00:78:00:*")
        self.configure(settings)

    def configure(self, settings: str) -> None:
        """Write the configuration for the next start."""
        self.configuration.write_text(self._text + settings)

    def stop(self) -> None:
        """End the server."""
        assert self.process is not None
        self.process.stop()

    def restart(self, settings: str = "") -> None:
        """Start the server again, with new settings if given."""
        self.stop()
        if settings:
            self.configure(settings)
        self.start()

    def leases(self, state: State | None = None) -> list[Lease]:
        """Its recorded leases, in this state or all."""
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            return [each for each in leases.load(registry) if state in (None, each.state)]

    def lease(self, mac: MacAddress) -> Lease | None:
        """The latest lease recorded for a client."""
        mine = [each for each in self.leases() if each.mac == mac]
        return max(mine, key=lambda each: each.expires, default=None)

    def expiry(self, mac: MacAddress) -> float:
        """When the client's lease ends, in seconds since 1970."""
        return max((each.expires for each in self.leases() if each.mac == mac), default=0.0)

    def await_state(self, mac: MacAddress, state: State) -> None:
        """Wait until the client's lease is in this state."""
        wait_until(lambda: state in {e.state for e in self.leases() if e.mac == mac}, TIMEOUT, f"{mac}: {state}", 0.05)

    def pc(self, mac: MacAddress | None = None) -> tuple[Namespace, MacAddress]:
        """A host in the segment, without an address."""
        number = next(_numbers)
        mac = mac or MacAddress.parse(f"52:54:00:78:05:{number:02x}")
        return self.network.host(f"pc{number}", "", mac), mac


@contextmanager
def dhcp_box(directory: Path, settings: str = "", prefix_length: int = 24) -> Iterator[DhcpBox]:
    """A box that serves, in a network of that size."""
    with Network() as network:
        box = DhcpBox(network, directory, settings or SETTINGS.format(seconds=LEASE_SECONDS))
        box.host.ip("address", "flush", "dev", "lan0")
        box.host.ip("address", "add", f"{PREFIX}.1/{prefix_length}", "dev", "lan0")
        box.start()
        yield box
        assert box.complaints(0) == []


async def lease(pc: ScriptedPc, options: list[tuple[int, bytes]]) -> Answer:
    """DHCP of firmware or iPXE where the box gives out the addresses; returns the ACK."""
    pc.use("")
    with pc.nic() as nic:
        offer = (await pc.discover(nic, options))[pc.box]
        wanted = [(54, offer.options[54]), (50, bytes(map(int, offer.yiaddr.split("."))))]
        nic.say(message(REQUEST, nic.mac, [*options, *wanted], xid=offer.xid, flags=BROADCAST))
        acknowledged, sender, _ = await nic.hear()
    assert (acknowledged.kind, acknowledged.yiaddr) == ("ACK", offer.yiaddr)
    assert pc.author(acknowledged, sender) == pc.box
    # Some firmware boots by the offer, some by the ACK.
    assert (offer.file, offer.siaddr, offer.sname) == (acknowledged.file, acknowledged.siaddr, acknowledged.sname)
    assert {code: value for code, value in offer.options.items() if code != 53} == {
        code: value for code, value in acknowledged.options.items() if code != 53
    }
    pc.use(acknowledged.yiaddr)
    return acknowledged


async def told(pc: ScriptedPc, mode: str, options: list[tuple[int, bytes]], port: int) -> Answer:
    """Power a PC on as firmware or iPXE: what a box in this mode tells it to load; in mode "off" when it asks from
    `port` on port 4011."""
    if mode == "server":
        return await lease(pc, options)
    offers = await pc.power_on(options, alone=mode == "off")
    return offers[pc.box] if mode == "proxy" else await pc.ask_boot_server(options, port)
