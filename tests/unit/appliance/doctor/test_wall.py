"""What the doctor says of the wall before the NFS ports."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.doctor.finding import Severity
from appliance.doctor.wall import judge_others, judge_wall
from appliance.exports.grants import ExportGrant
from services.ethernet import MacAddress

NEAR, OTHER = map(IPv4Address, ("10.77.0.50", "10.77.0.51"))
GRANTS = [ExportGrant(MacAddress.parse("52:54:00:77:00:01"), 1, (NEAR, OTHER))]
SERVED = [IPv4Network("10.77.0.0/24")]


def test_a_wall_that_lets_the_pcs_in_is_fine() -> None:
    assert judge_wall(True, True, GRANTS, {NEAR, OTHER}).severity is Severity.OK
    assert judge_wall(True, True, [], set()).severity is Severity.OK
    assert judge_wall(True, False, [], set()).severity is Severity.OK, "there is nothing to guard yet"


def test_without_nft_nothing_is_exported() -> None:
    found = judge_wall(False, False, GRANTS, set())
    assert (found.severity, found.what_to_do) == (Severity.ERROR, "apt-get install nftables")


def test_a_wall_that_somebody_removed_is_an_error() -> None:
    found = judge_wall(True, False, GRANTS, set())
    assert found.severity is Severity.ERROR
    assert "there is no wall before the NFS ports" in found.what


def test_a_pc_that_is_kept_out_is_named() -> None:
    found = judge_wall(True, True, GRANTS, {NEAR})
    assert found.severity is Severity.WARNING
    assert "keeps 10.77.0.51 of 52:54:00:77:00:01 out" in found.what


@pytest.mark.parametrize(
    ("client", "others", "kept_out"),
    [
        ("10.77.0.9", [], True),
        ("10.77.0.0/24", [], True),
        ("*", [], True),
        ("10.0.0.0/8", ["10.77.0.0/24"], True),
        ("10.77.0.9", ["10.77.0.0/24"], False),
        ("10.77.0.0/24", ["10.0.0.0/8"], False),
        ("192.168.1.0/24", [], False),
        ("desk.example", [], False),
        ("@staff", [], False),
        ("fd00::1", [], False),
    ],
)
def test_who_has_other_exports_and_is_kept_out(client: str, others: list[str], kept_out: bool) -> None:
    exported = {"/srv/homes": (client,), "/data/state/x": ("10.77.0.50",)}
    found = judge_others({"/data/state/x"}, exported, SERVED, [IPv4Network(each) for each in others])
    assert [each.severity for each in found] == ([Severity.WARNING] if kept_out else [])
    assert all(f"/srv/homes is exported to {client}" in each.what for each in found)
