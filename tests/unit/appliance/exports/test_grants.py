"""Who may mount what: decided by the server, checked by root."""

from collections.abc import Container
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from appliance.allowlist import Allowlist, Entry
from appliance.exports import grants
from appliance.exports.grants import ExportGrant, check, decide_grants, exports_for, mountable
from services.ethernet import MacAddress, MacRange
from services.nfs.exports import LARGEST_NUMBER, render_ganesha, render_kernel

NETWORKS = (IPv4Network("10.77.0.0/24"), IPv4Network("192.0.2.0/31"))
IMAGES, STATE = Path("/srv/netboot/images"), Path("/srv/netboot/state")
MACS = [MacAddress.parse(f"52:54:00:aa:bb:{number:02x}") for number in range(8)]


def grant(index: int = 1, *addresses: str, number: int | None = None) -> ExportGrant:
    own = addresses or (f"10.77.0.{100 + index}",)
    return ExportGrant(MACS[index], index if number is None else number, tuple(map(IPv4Address, own)))


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("10.77.0.1", True),
        ("10.77.0.254", True),
        ("10.77.0.0", False),
        ("10.77.0.255", False),
        ("10.77.1.1", False),
        ("192.0.2.0", True),
        ("192.0.2.1", True),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
    ],
)
def test_the_address_of_one_machine(address: str, is_one: bool) -> None:
    assert mountable(IPv4Address(address), NETWORKS) is is_one


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255"])
def test_addresses_that_no_machine_has(address: str) -> None:
    assert not mountable(IPv4Address(address), [IPv4Network("0.0.0.0/0")])


def test_valid_grants_pass() -> None:
    check([], ())
    check([grant(1, "10.77.0.9", "192.0.2.0"), grant(2, "10.77.0.9")], NETWORKS)
    check([grant(1, number=LARGEST_NUMBER - 1)], NETWORKS)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ([grant(1, "10.78.0.9")], r"52:54:00:aa:bb:01 has the address 10\.78\.0\.9"),
        ([grant(1), grant(2, "10.77.0.255")], r"bb:02 has the address 10\.77\.0\.255"),
        ([grant(1, "10.77.0.9", "8.8.8.8")], r"10\.77\.0\.0/24, 192\.0\.2\.0/31"),
        ([grant(1, "10.77.0.9", "10.77.0.9")], "twice"),
        ([ExportGrant(MACS[1], 1, ())], "no address"),
        ([grant(1, number=0)], "number 0"),
        ([grant(1, number=-1)], "number -1"),
        ([grant(1, number=LARGEST_NUMBER)], f"number {LARGEST_NUMBER}"),
        ([grant(1), grant(2, number=1)], "the number 1 appears 2 times"),
        ([grant(1), grant(1, number=2)], "the client 52:54:00:aa:bb:01 appears 2 times"),
    ],
)
def test_one_bad_grant_refuses_them_all(bad: list[ExportGrant], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check(bad, NETWORKS)


def test_too_many_clients_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "MOST_GRANTS", 2)
    check([grant(1), grant(2)], NETWORKS)
    with pytest.raises(ValueError, match="3 clients are more than the limit of 2"):
        check([grant(1), grant(2), grant(3)], NETWORKS)


def test_without_a_network_nobody_may_mount() -> None:
    with pytest.raises(ValueError, match="cannot belong to a machine in any network: there is none"):
        check([grant(1)], ())


def test_the_paths_come_from_the_caller_alone() -> None:
    made = exports_for(IMAGES, STATE, [grant(2), grant(1, "10.77.0.102", "10.77.0.9")])
    assert [(e.path, e.number, e.writable, e.uid, e.gid) for e in made] == [
        ("/srv/netboot/images", 1, False, 65534, 65534),
        ("/srv/netboot/state/525400aabb02", 3, True, 731, 731),
        ("/srv/netboot/state/525400aabb01", 2, True, 731, 731),
    ]
    assert [str(address) for address in made[0].clients] == ["10.77.0.9", "10.77.0.102", "127.0.0.1"], "each once"
    assert render_kernel(made)
    assert render_ganesha(made)


@dataclass
class Known:
    """What `decide_grants` looks at in a client and its boot."""

    mac: MacAddress
    number: int
    known_addresses: tuple[IPv4Address, ...]
    last_event: float
    root: str = ""


def make(
    known: list[Known], allowed: list[str] | None = None, running: Container[MacAddress] = ()
) -> tuple[ExportGrant, ...]:
    entries = [Entry(MacRange.parse(text), "") for text in (["52:54:00:*"] if allowed is None else allowed)]
    boots: Any = {each.mac: each for each in known}
    return decide_grants(NETWORKS, Allowlist.of(entries), {each.mac: each.number for each in known}, boots, running)


def known(index: int, *addresses: str, at: float = 0.0, number: int | None = None, root: str = "") -> Known:
    return Known(MACS[index], index if number is None else number, tuple(map(IPv4Address, addresses)), at, root)


def test_what_is_decided_passes_the_check() -> None:
    found = make(
        [
            known(2, "10.77.0.9", "10.77.0.3"),
            known(1, "10.77.0.8", "10.77.0.255", "10.99.0.1", "224.0.0.1"),
            known(3, "10.99.0.1"),
            known(4),
            known(5, "10.77.0.5", number=LARGEST_NUMBER),
        ]
    )
    assert found == (grant(1, "10.77.0.8"), grant(2, "10.77.0.3", "10.77.0.9"))
    check(found, NETWORKS)


def test_the_live_root_is_for_clients_that_mount_it() -> None:
    found = make([known(n, f"10.77.0.{n}", root=root) for n, root in ((1, ""), (2, "http"), (3, "nfs"))])
    live, *states = exports_for(IMAGES, STATE, found)
    assert list(map(str, live.clients)) == ["10.77.0.1", "10.77.0.3", "127.0.0.1"], "and for the doctor"
    assert [str(address) for export in states for address in export.clients] == ["10.77.0.1", "10.77.0.2", "10.77.0.3"]
    nobody = exports_for(IMAGES, STATE, make([known(2, "10.77.0.2", root="http")]))
    assert "images" not in render_kernel(nobody)


def test_a_client_that_is_not_allowed_gets_nothing() -> None:
    assert make([known(1, "10.77.0.8"), known(2, "10.77.0.9")], [str(MACS[2])]) == (grant(2, "10.77.0.9"),)
    assert make([known(1, "10.77.0.8")], []) == ()


def test_if_there_are_too_many_those_heard_from_last_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "MOST_GRANTS", 2)
    found = make([known(i, f"10.77.0.{i}", at=at) for i, at in ((1, 5.0), (2, 1.0), (3, 9.0), (4, 2.0))])
    assert [each.number for each in found] == [1, 3]


def test_running_pcs_alone_are_pinned() -> None:
    pcs = [known(1, "10.77.0.101"), known(2, "10.77.0.102")]
    assert [(grant.mac, grant.pinned) for grant in make(pcs, running={MACS[2]})] == [(MACS[1], False), (MACS[2], True)]
