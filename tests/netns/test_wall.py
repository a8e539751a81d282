"""The wall before the NFS ports, attacked with real frames: NFS-Ganesha, root's helper, PCs and strangers."""

import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, fragment
from scapy.layers.l2 import Ether

from services.ethernet import MacAddress
from tests.netns.walled_box import (
    MOUNTD,
    NFS,
    PORTMAPPER,
    WalledBox,
    Wire,
    call,
    connection,
    grant,
    knock,
    list_exports,
)
from tests.room.namespaces import Namespace, Network
from tests.room.processes import wait_until
from tests.room.room import BOX, host_mac

DESK = MacAddress.parse("52:54:00:77:00:07")
STRANGER = MacAddress.parse("02:66:00:00:00:01")
ADDRESS, FREE = "10.77.0.50", "10.77.0.66"


class Site:
    """The box, a PC that has exports, and a stranger."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.network = network
        self.box = WalledBox(network, directory)
        self.images = directory / "data" / "images"
        self.images.mkdir(parents=True)
        (self.images / "release").write_text("public")
        self.desk = network.host("desk", f"{ADDRESS}/24", DESK)
        self.stranger = network.host("stranger", f"{FREE}/24", STRANGER)

    def switch_off(self, host: Namespace) -> None:
        """Disappear from the wire."""
        host.ip("link", "set", "lan0", "down")

    def take_address(self, host: Namespace, address: str) -> None:
        """Use this address instead of the own one."""
        host.ip("address", "flush", "dev", "lan0")
        host.ip("address", "add", f"{address}/24", "dev", "lan0")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    with Network() as network:
        site = Site(network, tmp_path)
        yield site
        site.box.ganesha.stop()


def test_a_pc_is_served_and_a_stranger_with_its_address_gets_no_packet(site: Site) -> None:
    site.box.grant(grant(DESK, 1, ADDRESS, pinned=False))
    with Wire(site.desk) as wire:
        knock(site.desk)
        assert set(wire.nfs()) == {NFS, MOUNTD, PORTMAPPER}
    assert "release" in list_exports(site.desk, site.images).stdout
    site.switch_off(site.desk)
    with Wire(site.stranger) as wire:
        site.take_address(site.stranger, ADDRESS)
        for _ in range(5):
            knock(site.stranger)
        assert list_exports(site.stranger, site.images, 1).returncode
        assert wire.nfs() == []
    # Not the address is what is refused.
    site.switch_off(site.stranger)
    site.desk.ip("link", "set", "lan0", "up")
    assert "release" in list_exports(site.desk, site.images).stdout


def test_a_stranger_with_an_address_of_its_own_does_not_even_see_open_ports(site: Site) -> None:
    site.box.grant(grant(DESK, 1, ADDRESS))
    with Wire(site.stranger) as wire:
        knock(site.stranger)
        # From outside of all networks, too: the interface is what counts.
        site.take_address(site.stranger, "10.99.0.66")
        site.stranger.ip("route", "add", str(BOX), "dev", "lan0")
        site.box.host.ip("route", "add", "10.99.0.66", "dev", "lan0")
        knock(site.stranger)
        assert wire.nfs() == []


def test_unprivileged_ports_are_refused(site: Site) -> None:
    """A science application has no port below 1024: all that it could do with a file handle ends here."""
    site.box.grant(grant(DESK, 1, ADDRESS))
    with Wire(site.desk) as wire:
        knock(site.desk, source=0)
        assert set(wire.nfs()) == {PORTMAPPER}
        knock(site.desk)
        assert set(wire.nfs()) == {NFS, MOUNTD, PORTMAPPER}


def test_arp_of_others_neither_redirects_answers_nor_ends_a_connection(site: Site) -> None:
    with Wire(site.stranger) as wire:

        def flood() -> None:
            for _ in range(100):
                wire.say_arp(ADDRESS)
                wire.say_arp(ADDRESS, answer=True)
                wire.say_arp(ADDRESS, asked=str(BOX))

        # Without a pin the flood works: this is what the pin is for.
        site.box.grant(grant(DESK, 1, ADDRESS, pinned=False))
        with connection(site.desk) as tcp:
            assert call(tcp)
            flood()
            assert str(STRANGER) in site.box.neighbour(ADDRESS)
        site.box.grant(grant(DESK, 1, ADDRESS))
        wire.nfs()
        with connection(site.desk) as tcp:
            for _ in range(10):
                flood()
                begun = time.monotonic()
                assert call(tcp)
                assert time.monotonic() - begun < 1, "nothing had to be sent twice"
        assert wire.nfs() == [], "and nothing of it went to the stranger"
    assert str(DESK) in site.box.neighbour(ADDRESS)
    answer = site.box.grant(grant(DESK, 1, ADDRESS))
    assert answer.claims == ((ADDRESS, str(STRANGER)),)
    assert answer.heard[ADDRESS] < 60


def test_who_else_uses_an_address_is_told_even_without_arp(site: Site) -> None:
    site.box.grant(grant(DESK, 1, ADDRESS))
    site.switch_off(site.desk)
    site.take_address(site.stranger, ADDRESS)
    site.stranger.ip("neighbour", "add", str(BOX), "lladdr", str(host_mac(BOX)), "dev", "lan0", "nud", "permanent")
    with Wire(site.stranger) as wire:
        knock(site.stranger)
        assert wire.nfs() == []
    answer = site.box.grant(grant(DESK, 1, ADDRESS))
    assert (answer.claims, answer.heard) == (((ADDRESS, str(STRANGER)),), {})


def test_a_packet_in_fragments_is_judged_like_a_whole_one(site: Site) -> None:
    site.box.grant(grant(DESK, 1, ADDRESS, pinned=False))
    tcp = TCP(sport=900, dport=NFS, flags="S", options=[("NOP", None)] * 20)
    packets = fragment(IP(src=ADDRESS, dst=str(BOX)) / tcp, fragsize=8)
    assert len(packets) > 3
    for host, mac, answers in ((site.stranger, STRANGER, []), (site.desk, DESK, [NFS])):
        with Wire(host) as wire:
            if host is site.stranger:
                site.take_address(host, ADDRESS)
            for packet in packets:
                wire.send(bytes(Ether(src=str(mac), dst=str(host_mac(BOX))) / packet))
            time.sleep(0.5)
            assert wire.nfs()[:1] == answers
        host.ip("link", "set", "lan0", "down")


def test_hosts_with_exports_of_somebody_else_are_let_in_but_not_with_the_address_of_a_pc(site: Site) -> None:
    site.box.configure('others = ["10.77.0.64/26", "10.77.0.50"]')
    site.box.grant(grant(DESK, 1, ADDRESS))
    with Wire(site.stranger) as wire:
        knock(site.stranger, source=0)
        assert set(wire.nfs()) == {NFS, MOUNTD, PORTMAPPER}
    site.switch_off(site.desk)
    with Wire(site.stranger) as wire:
        site.take_address(site.stranger, ADDRESS)
        knock(site.stranger)
        assert wire.nfs() == []


def test_an_address_with_two_owners_belongs_to_nobody(site: Site) -> None:
    """NFS tells clients apart by their address: each of the two would have the other's state."""
    site.box.grant(grant(DESK, 1, ADDRESS), grant(STRANGER, 2, ADDRESS))
    with Wire(site.desk) as wire:
        knock(site.desk)
        assert wire.nfs() == []
    site.box.grant(grant(DESK, 1, ADDRESS), grant(STRANGER, 2, FREE))
    with Wire(site.desk) as wire:
        knock(site.desk)
        assert set(wire.nfs()) == {NFS, MOUNTD, PORTMAPPER}


OTHERS = """
table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
		tcp dport 22 accept
		tcp dport 2049 counter accept
	}
}
table arp netboot {
}
"""


def test_rules_and_neighbours_of_others_stay_as_they_are(site: Site) -> None:
    host = site.box.host
    script = "nft -f - <<'EOF'\n" + OTHERS + "\nEOF"
    host.run(["sh", "-ec", script])
    host.ip("neighbour", "add", "10.77.0.60", "lladdr", "02:00:00:00:00:60", "dev", "lan0", "nud", "permanent")
    # An administrator's own entry for an address that is granted: it stays too.
    host.ip("neighbour", "add", ADDRESS, "lladdr", str(DESK), "dev", "lan0", "nud", "permanent", "protocol", "static")
    before = site.box.ruleset(), site.box.neighbour("10.77.0.60"), site.box.neighbour(ADDRESS)
    site.box.grant(grant(DESK, 1, ADDRESS, "10.77.0.51"))
    during = site.box.ruleset()
    assert "table inet netboot_appliance" in during
    assert before[0] in during
    assert "proto 178" in site.box.neighbour("10.77.0.51")
    site.box.grant(grant(DESK, 1, ADDRESS))
    assert site.box.neighbour("10.77.0.51") == ""
    site.box.verb("exports", "withdraw")
    assert (site.box.ruleset(), site.box.neighbour("10.77.0.60"), site.box.neighbour(ADDRESS)) == before


def test_what_a_killed_server_left_pinned_is_put_right_by_the_next_request(site: Site) -> None:
    for address in (ADDRESS, "10.77.0.61"):
        entry = [address, "lladdr", str(STRANGER), "dev", "lan0", "nud", "permanent", "protocol", "178"]
        site.box.host.ip("neighbour", "add", *entry)
    site.box.grant(grant(DESK, 1, ADDRESS))
    assert str(DESK) in site.box.neighbour(ADDRESS)
    assert site.box.neighbour("10.77.0.61") == ""
    site.box.grant()
    assert site.box.neighbour(ADDRESS) == ""


def test_after_a_flush_of_all_rules_the_next_request_heals(site: Site) -> None:
    site.box.grant(grant(DESK, 1, ADDRESS))
    rules = site.box.ruleset()
    site.box.host.run(["nft", "flush", "ruleset"])
    site.box.grant(grant(DESK, 1, ADDRESS))
    assert site.box.ruleset() == rules
    # What netboot-appliance-wall.service does when Debian's nftables.service was loaded again.
    site.box.host.run(["nft", "flush", "ruleset"])
    site.box.host.run(["nft", "--file", str(site.box.kept / "wall.nft")])
    assert site.box.ruleset() == rules
    with Wire(site.stranger) as wire:
        knock(site.stranger)
        assert wire.nfs() == []


def test_without_nft_nothing_is_exported(site: Site) -> None:
    site.box.grant(grant(DESK, 1, ADDRESS))
    assert str(site.images) in site.box.exports.read_text()
    hidden = "unshare --mount sh -ec 'mount --bind /dev/null /usr/sbin/nft; exec \"$@\"' sh"
    answer = site.box.ask(grant(DESK, 1, ADDRESS), before=f'exec {hidden} "$@"')
    assert answer.error == "the NFS ports cannot be guarded: nft is not installed"
    assert answer.hint == "apt-get install nftables"
    assert "EXPORT {" not in site.box.exports.read_text()
    site.box.grant(grant(DESK, 1, ADDRESS))
    assert "release" in list_exports(site.desk, site.images).stdout


def test_without_the_privilege_nothing_is_exported(site: Site) -> None:
    answer = site.box.ask(grant(DESK, 1, ADDRESS), before='exec setpriv --bounding-set=-all,+chown "$@"')
    assert "Operation not permitted" in answer.error
    assert not site.box.exports.exists() or "EXPORT {" not in site.box.exports.read_text()


ROUTER_MAC = host_mac(IPv4Address("10.77.0.254"))
ROUTER, FAR, FREE_THERE = "10.77.0.254", "10.78.0.9", "10.78.0.10"


@pytest.fixture
def router(site: Site) -> Namespace:
    """A router, on which the addresses behind it are; all machines there are played by it."""
    host = site.network.host("router", f"{ROUTER}/24", ROUTER_MAC)
    host.ip("route", "add", "local", "10.78.0.0/24", "dev", "lo")
    site.box.host.ip("route", "add", "10.78.0.0/24", "via", ROUTER)
    site.box.allow_network("10.78.0.0/24")
    return host


def test_nobody_on_our_own_link_passes_for_a_pc_behind_the_router(site: Site, router: Namespace) -> None:
    site.box.grant(grant(DESK, 1, FAR, pinned=False))
    entry = site.box.neighbour(ROUTER)
    assert str(ROUTER_MAC) in entry
    assert "PERMANENT proto 178" in entry
    with Wire(site.stranger) as wire, connection(router, FAR) as tcp:
        assert call(tcp)
        for _ in range(100):
            wire.say_arp(ROUTER)
            wire.say_arp(ROUTER, answer=True)
        assert call(tcp)
        site.take_address(site.stranger, FAR)
        site.stranger.ip("route", "add", str(BOX), "dev", "lan0")
        knock(site.stranger)
        assert wire.nfs() == []
    assert site.box.neighbour(ROUTER) == entry
    with Wire(router) as wire:
        knock(router, address=FREE_THERE)
        assert wire.nfs() == [], "nor does another machine behind it"
        knock(router, address=FAR)
        assert set(wire.nfs()) == {NFS, MOUNTD, PORTMAPPER}
    assert site.box.grant(grant(DESK, 1, FAR)).claims == ((FAR, str(STRANGER)),)
    site.box.grant()
    assert "178" not in site.box.neighbour(ROUTER), "the last grant behind it is gone"


def test_a_router_that_the_configuration_names_is_not_believed_on_first_use(site: Site, router: Namespace) -> None:
    site.box.configure(f'routers = ["{ROUTER}={ROUTER_MAC}"]')
    with Wire(site.stranger) as wire:
        wire.say_arp(ROUTER, asked=str(BOX))
        wait_until(lambda: ROUTER in site.box.neighbour(ROUTER), 10, "the box to believe it")
        assert str(STRANGER) in site.box.neighbour(ROUTER), "poisoned before the first use"
        site.box.grant(grant(DESK, 1, FAR))
        with connection(router, FAR) as tcp:
            assert call(tcp)
        assert wire.nfs() == []
