"""The kernel command line of one boot."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from image import commandline
from image.commandline import HttpRoot, NfsRoot, Root

GOLDEN = Path(__file__).parent / "golden" / "commandline"
GOLDEN_HTTP = GOLDEN.with_name("commandline-http")
NFS = NfsRoot("/srv/netboot/images")
MIB = 1 << 20
LAYERS = (("filesystem.squashfs", "0123" * 16), ("recipe.squashfs", "abcd" * 16))


def render(
    root: Root = NFS,
    release: str = "20261123-150102-1a2b3c4d",
    mac: str = "525400aabbcc",
    state: str = "/srv/netboot/state/525400aabbcc",
    extra: tuple[str, ...] = ("console=ttyS0,115200",),
    port: int = 80,
    zone: str = "Europe/Berlin",
    name: str = "boinc-525400aabbcc",
    live: bool = False,
) -> str:
    return commandline.render(
        IPv4Address("10.77.0.1"),
        root,
        release,
        mac,
        state,
        "T0ken-1_x",
        port,
        "internet,10.77.0.3",
        zone,
        name,
        live,
        (IPv4Address("10.77.0.8"), IPv4Address("10.77.0.9")),
        extra,
    )


def test_the_command_line_is_the_golden_one() -> None:
    assert render() + "\n" == GOLDEN.read_text()


def test_the_command_line_of_an_http_root_is_the_golden_one() -> None:
    assert render(HttpRoot(114397184, LAYERS)) + "\n" == GOLDEN_HTTP.read_text()


@pytest.mark.parametrize("root", [NFS, HttpRoot(1, LAYERS)])
def test_the_servers_address_appears_once(root: Root) -> None:
    assert render(root).count("10.77.0.1") == 1


def test_what_live_boot_fetches_ends_in_its_kind_and_names_no_interface() -> None:
    words = render(HttpRoot(1, LAYERS), port=8080).split()
    (fetch,) = (word for word in words if word.startswith("fetch="))
    assert fetch.startswith("fetch=http://10.77.0.1:8080/boot/525400aabbcc/")
    assert fetch.endswith("/live/filesystem.squashfs")
    assert not [word for word in words if word.startswith(("netboot=", "nfsroot=", "ip="))]


@pytest.mark.parametrize(("size", "memory"), [(1, 301), (100 * MIB, 400), (100 * MIB + 1, 401)])
def test_an_http_root_needs_memory_for_the_squashfs_and_more(size: int, memory: int) -> None:
    assert HttpRoot(size, LAYERS).memory == memory


@pytest.mark.parametrize("mac", ["52:54:00:aa:bb:cc", "525400AABBCC", "525400aabbc", "525400aabbcc0"])
def test_only_a_bare_lower_case_mac_is_accepted(mac: str) -> None:
    with pytest.raises(ValueError, match="twelve lower-case digits"):
        render(mac=mac)


@pytest.mark.parametrize("state", ["/srv/my state", "/srv/a\nb", '/srv/"a"', "/srv/ä"])
def test_a_value_that_is_not_one_plain_word_is_refused(state: str) -> None:
    with pytest.raises(ValueError, match="cannot go on a kernel command line"):
        render(state=state)


def test_a_server_without_a_time_zone_names_none() -> None:
    assert "zone" not in render(zone="")


def test_a_host_name_of_ones_own_and_files_for_the_root_are_told() -> None:
    words = set(render(name="lab-bbcc", live=True).split()) - set(render().split())
    assert words == {"netboot_appliance.name=lab-bbcc", "netboot_appliance.live=1"}


def test_an_extra_argument_is_one_word_too() -> None:
    with pytest.raises(ValueError, match="cannot go on a kernel command line"):
        render(extra=("quiet splash",))


def test_a_line_that_linux_would_truncate_is_refused() -> None:
    with pytest.raises(ValueError, match="2047"):
        render(extra=("x" * 1800,))
