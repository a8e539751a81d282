"""The kernel command line of one boot."""

from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath

import pytest

from image import commandline

GOLDEN = Path(__file__).parent / "golden" / "commandline"


def render(
    release: str = "20261123-150102-1a2b3c4d",
    mac: str = "525400aabbcc",
    state: str = "/srv/netboot/state/525400aabbcc",
    extra: tuple[str, ...] = ("console=ttyS0,115200",),
) -> str:
    return commandline.render(
        IPv4Address("10.77.0.1"),
        PurePosixPath("/srv/netboot/images"),
        release,
        mac,
        PurePosixPath(state),
        "T0ken-1_x",
        80,
        extra,
    )


def test_the_command_line_is_the_golden_one() -> None:
    assert render() + "\n" == GOLDEN.read_text()


def test_the_servers_address_stands_in_it_once() -> None:
    assert render().count("10.77.0.1") == 1


@pytest.mark.parametrize("mac", ["52:54:00:aa:bb:cc", "525400AABBCC", "525400aabbc", "525400aabbcc0"])
def test_only_a_bare_lower_case_mac_is_taken(mac: str) -> None:
    with pytest.raises(ValueError, match="twelve lower-case digits"):
        render(mac=mac)


@pytest.mark.parametrize("state", ["/srv/my state", "/srv/a\nb", '/srv/"a"', "/srv/ä"])
def test_a_value_that_is_not_one_plain_word_is_refused(state: str) -> None:
    with pytest.raises(ValueError, match="cannot stand on a kernel command line"):
        render(state=state)


def test_an_extra_argument_is_one_word_too() -> None:
    with pytest.raises(ValueError, match="cannot stand on a kernel command line"):
        render(extra=("quiet splash",))


def test_a_line_that_linux_would_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="2047"):
        render(extra=("x" * 1800,))
