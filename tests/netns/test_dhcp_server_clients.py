"""The box as DHCP server for the clients of operating systems: dhclient, udhcpc, systemd-networkd."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.dhcp.lease import State
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import message
from tests.netns.dhcp_box import LEASE_SECONDS, SETTINGS, DhcpBox, dhcp_box
from tests.netns.dhcp_clients import CLIENTS, Dhclient, DhcpClient, Udhcpc
from tests.netns.inside import Client
from tests.netns.served import TIMEOUT
from tests.netns.silent_address_user import SilentAddressUser
from tests.room.processes import wait_until

DECLINE, RELEASE = 4, 7
POOL = {f"10.78.0.{number}" for number in range(100, 151)}

by_name = pytest.mark.parametrize("name", [each.name for each in CLIENTS])


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DhcpBox]:
    with dhcp_box(tmp_path_factory.mktemp("box")) as box:
        yield box


class Station:
    """A PC with one of the clients."""

    def __init__(self, box: DhcpBox, kind: type[DhcpClient], directory: Path, mac: MacAddress | None = None) -> None:
        host, self.mac = box.pc(mac)
        self.client = kind(host, directory / str(self.mac))


@pytest.fixture(scope="module")
def stations(box: DhcpBox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Station]:
    """One of each, all started at once and running throughout the module."""
    directory = tmp_path_factory.mktemp("stations")
    directory.chmod(0o755)
    stations = {kind.name: Station(box, kind, directory) for kind in CLIENTS}
    for station in stations.values():
        station.client.start()
    return stations


@by_name
def test_a_client_gets_a_lease(box: DhcpBox, stations: dict[str, Station], name: str) -> None:
    station = stations[name]
    lease = station.client.lease()
    assert lease.address in POOL
    assert (lease.router, lease.dns, lease.ntp) == ("10.78.0.254", "10.78.0.53 10.78.0.54", "10.78.0.123")
    assert lease.server == "10.78.0.1"
    assert LEASE_SECONDS - 1 <= lease.seconds <= LEASE_SECONDS
    written = box.lease(station.mac)
    assert written
    assert (str(written.address), written.state) == (lease.address, State.LEASED)


@by_name
def test_it_is_renewed(box: DhcpBox, stations: dict[str, Station], name: str) -> None:
    station = stations[name]
    renewals = station.client.renewals()
    before, first = station.client.lease(), box.lease(station.mac)
    assert first
    station.client.await_renewal(renewals)
    wait_until(lambda: box.expiry(station.mac) > first.expires, TIMEOUT, f"{name}'s lease to be extended", 0.1)
    assert station.client.lease().address == before.address


def test_a_stranger_declines_and_releases_in_a_pcs_name(box: DhcpBox, tmp_path: Path) -> None:
    """Neither ends the lease of a PC that runs: its renewals are granted, and nobody else gets the address."""
    station, (stranger, _) = Station(box, Udhcpc, tmp_path), box.pc()
    station.client.start()
    address, since = station.client.lease().address, box.mark()
    packed, server = IPv4Address(address).packed, IPv4Address("10.78.0.1").packed
    with Client(stranger, bytes(station.mac)) as forger:
        forger.say(message(DECLINE, forger.mac, [(50, packed), (54, server)]))
        forger.say(message(RELEASE, forger.mac, [(54, server)], ciaddr=address))
        forger.say(message(DECLINE, forger.mac, [(50, packed), (54, server)]))
    renewals = station.client.renewals()
    station.client.await_renewal(renewals)
    assert station.client.lease().address == address
    box.await_state(station.mac, State.LEASED)
    assert {line["mac"] for line in box.said("leased", since, address=address)} <= {str(station.mac)}
    station.client.release()


def test_a_restart_keeps_the_leases(box: DhcpBox, stations: dict[str, Station], tmp_path: Path) -> None:
    before = {name: station.client.lease().address for name, station in stations.items()}
    assert len(set(before.values())) == len(before)
    box.restart()
    newcomer = Station(box, Udhcpc, tmp_path)
    newcomer.client.start()
    assert newcomer.client.lease().address not in before.values()
    renewed = {name: station.client.renewals() for name, station in stations.items()}
    for name, station in stations.items():
        station.client.await_renewal(renewed[name])
        assert station.client.lease().address == before[name]
    newcomer.client.release()


@by_name
def test_a_lease_is_released(box: DhcpBox, stations: dict[str, Station], name: str) -> None:
    station = stations[name]
    address = station.client.lease().address
    station.client.release()
    box.await_state(station.mac, State.RELEASED)
    # It gets it back when it returns.
    station.client.start()
    assert station.client.lease().address == address
    station.client.release()


def test_an_address_remembered_from_another_network_is_refused(box: DhcpBox, tmp_path: Path) -> None:
    """A notebook from elsewhere asks for the address it had there (RFC 2131, INIT-REBOOT)."""
    station = Station(box, Dhclient, tmp_path)
    far = (
        "  fixed-address 10.99.0.5;\n  option subnet-mask 255.255.255.0;\n  option dhcp-server-identifier 10.99.0.1;\n"
    )
    times = "".join(f"  {what} never;\n" for what in ("renew", "rebind", "expire"))
    (station.client.directory / "leases").write_text(f'lease {{\n  interface "lan0";\n{far}{times}}}\n')
    station.client.start()
    assert station.client.lease().address in POOL
    log = station.client.log.read_text()
    assert "DHCPREQUEST for 10.99.0.5" in log
    assert "DHCPNAK from 10.78.0.1" in log
    station.client.release()


def test_a_static_address(box: DhcpBox, tmp_path: Path) -> None:
    mac = MacAddress.parse("52:54:00:78:06:01")
    box.restart(SETTINGS.format(seconds=LEASE_SECONDS) + f'static = ["{mac}=10.78.0.50"]\n')
    station = Station(box, Udhcpc, tmp_path, mac)
    station.client.start()
    assert station.client.lease().address == "10.78.0.50"
    station.client.release()


def test_an_address_in_use_is_not_offered(box: DhcpBox, tmp_path: Path) -> None:
    """A machine uses the next address of the pool by itself: the box probes before it offers."""
    free = next(address for address in sorted(POOL) if address not in {str(e.address) for e in box.leases()})
    occupant, mac = box.pc(MacAddress.parse("02:00:00:00:05:05"))
    occupant.ip("address", "add", f"{free}/24", "dev", "lan0")
    since = box.mark()
    station = Station(box, Dhclient, tmp_path)
    station.client.start()
    assert station.client.lease().address in POOL - {free}
    said = box.said("address is in use by another machine; it is not leased for a while", since)
    assert [(line["address"], line["by"]) for line in said] == [(free, str(mac))]
    station.client.release()


def test_udhcpc_declines_an_address_in_use(box: DhcpBox, tmp_path: Path) -> None:
    """The client detects the conflict that the box could not."""
    host, mac = box.pc(MacAddress.parse("02:00:00:00:06:06"))
    since = box.mark()
    station = Station(box, Udhcpc, tmp_path)
    with SilentAddressUser(host, mac) as silent:
        station.client.start()
        lease = station.client.lease()
    assert str(silent.claimed) in POOL - {lease.address}
    assert_declined(box, station, str(silent.claimed), since)


def test_dhclient_declines_an_address(box: DhcpBox, tmp_path: Path) -> None:
    since = box.mark()
    station = Station(box, Dhclient, tmp_path)
    assert isinstance(station.client, Dhclient)
    station.client.decline_once()
    station.client.start()
    lease = station.client.lease()
    (first, *_) = (line["address"] for line in box.said("leased", since, mac=str(station.mac)))
    assert first != lease.address
    assert_declined(box, station, first, since)


def assert_declined(box: DhcpBox, station: Station, address: str, since: int) -> None:
    """The box does not offer that address for now."""
    assert box.said("address declined: another machine uses it", since, address=address, mac=str(station.mac))
    assert address not in {str(each.address) for each in box.leases(State.LEASED)}
    station.client.release()


def test_in_another_network_they_get_other_addresses(box: DhcpBox, stations: dict[str, Station]) -> None:
    """The room is renumbered under its clients: their last renewal is refused, and they start over."""
    for station in stations.values():
        station.client.start()
    assert {station.client.lease().address for station in stations.values()} <= POOL
    box.stop()
    box.host.ip("address", "flush", "dev", "lan0")
    box.host.ip("address", "add", "10.79.0.1/24", "dev", "lan0")
    box.configure(SETTINGS.format(seconds=LEASE_SECONDS).replace("10.78.0.", "10.79.0."))
    box.start()
    for station in stations.values():
        station.client.await_network("10.79.0")
        assert station.client.lease().router == "10.79.0.254"
