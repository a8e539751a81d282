"""Makers of network cards."""

import pytest

from appliance.admission.makers import LONGEST, RANDOM, find_makers
from services.ethernet import MacAddress

OUI = (
    '''Registry,Assignment,Organization Name,Organization Address
MA-L,002272,American Micro-Fuel Device Corp.,2181 Buchanan Loop Ferndale WA US 98248
MA-L,70B3D5,IEEE Registration Authority,445 Hoes Lane Piscataway NJ US 08554
MA-L,000011,"Two ""quoted"", Inc.  #1","Street 1, Town"
MA-L,000022,"'''
    + "x" * 500
    + """",
MA-L,000033,,
"""
)
OUI_36 = "Registry,Assignment,Organization Name,Organization Address\r\nMA-S,70B3D5F2F,TELEPLATFORMS,Moscow\r\n"


@pytest.mark.parametrize(
    ("mac", "maker"),
    [
        ("00:22:72:00:00:01", "American Micro-Fuel Device Corp."),
        ("70:b3:d5:f2:f0:01", "TELEPLATFORMS"),
        ("70:b3:d5:00:00:01", "IEEE Registration Authority"),
        ("00:00:11:00:00:01", 'Two "quoted", Inc. 1'),
        ("00:00:22:00:00:01", "x" * (LONGEST - 1) + "…"),
        ("52:54:00:00:00:01", RANDOM),
        ("00:00:33:00:00:01", None),
        ("00:99:99:00:00:01", None),
    ],
)
def test_the_longest_prefix_names_the_maker(mac: str, maker: str | None) -> None:
    address = MacAddress.parse(mac)
    assert find_makers([OUI_36, "", OUI], [address]).get(address) == maker


def test_without_tables_nobody_is_named() -> None:
    assert find_makers([], [MacAddress.parse("00:22:72:00:00:01")]) == {}
