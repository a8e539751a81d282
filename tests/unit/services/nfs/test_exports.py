"""The rendered exports, word for word, and what may never be exported."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.nfs.exports import Export, render_ganesha, render_kernel

Render = Callable[[Iterable[Export]], str]

GOLDEN = Path(__file__).parent / "golden"
ROOT = Export(
    "/srv/netboot/images", (IPv4Address("192.0.2.31"), IPv4Address("192.0.2.30")), False, 65534, 65534, number=1
)
STATE = Export("/srv/netboot/state/525400aabbcc", (IPv4Address("192.0.2.30"),), True, 731, 731, 2, alone=True)
SPACED = Export("/srv/net boot/état#1/525400aabbdd", (IPv4Address("192.0.2.31"),), True, 731, 731, number=7)
UNUSED = Export("/srv/netboot/state/525400aabbee", (), True, 731, 731, number=8)
ALL = (UNUSED, STATE, SPACED, ROOT)


def test_the_kernels_file_is_the_golden_one() -> None:
    assert render_kernel(ALL) == (GOLDEN / "netboot-appliance.exports").read_text()


def test_ganeshas_file_is_the_golden_one() -> None:
    assert render_ganesha(ALL) == (GOLDEN / "netboot-appliance.ganesha.conf").read_text()


@pytest.mark.parametrize("render", [render_kernel, render_ganesha])
def test_the_order_of_exports_and_clients_changes_nothing(render: Render) -> None:
    turned = [replace(export, clients=(*reversed(export.clients), *export.clients)) for export in reversed(ALL)]
    assert render(turned) == render(ALL)


@pytest.mark.parametrize("render", [render_kernel, render_ganesha])
def test_nothing_exported_is_only_a_remark(render: Render) -> None:
    text = render([UNUSED])
    assert text
    assert all(line.startswith("#") for line in text.splitlines())


@pytest.mark.parametrize("render", [render_kernel, render_ganesha])
@pytest.mark.parametrize(
    ("second", "what"),
    [
        (replace(STATE, path="/srv/other"), "number 2"),
        (replace(STATE, number=3), "path /srv/netboot/state/525400aabbcc"),
    ],
)
def test_two_exports_with_one_number_or_path_are_refused(render: Render, second: Export, what: str) -> None:
    with pytest.raises(ValueError, match=f"2 exports have the {what}"):
        render([STATE, second])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "relative/path",
        "/a/",
        "/a//b",
        "/a/../b",
        "/a/./b",
        "/a\nb",
        "/a\tb",
        "/a\0b",
        '/a"b',
        "/a\\040b",
        "/a\x7f",
    ],
)
def test_paths_that_could_mean_something_else_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be exported"):
        replace(STATE, path=path)


@pytest.mark.parametrize("address", ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.2"])
def test_only_the_address_of_one_machine_is_a_client(address: str) -> None:
    with pytest.raises(ValueError, match="not the address of one machine"):
        replace(ROOT, clients=(IPv4Address(address),))


def test_the_host_itself_may_have_what_is_read_only() -> None:
    assert "127.0.0.1/32(ro," in render_kernel([replace(ROOT, clients=(IPv4Address("127.0.0.1"),))])
    with pytest.raises(ValueError, match="not the address of one machine"):
        replace(STATE, clients=(IPv4Address("127.0.0.1"),))


@pytest.mark.parametrize(
    ("uid", "gid", "number", "name"),
    [
        (0, 731, 1, "uid"),
        (731, 0, 1, "gid"),
        (2**32 - 1, 731, 1, "uid"),
        (731, 731, 0, "number"),
        (1, 1, 65536, "number"),
    ],
)
def test_root_and_numbers_out_of_range_are_refused(uid: int, gid: int, number: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"with {name} "):
        replace(STATE, uid=uid, gid=gid, number=number)


paths = st.text(min_size=1).map(lambda text: "/" + text)
addresses = st.integers(1, 2**32 - 2).map(IPv4Address)


@given(path=paths, clients=st.lists(addresses, min_size=1, max_size=3), writable=st.booleans())
def test_no_path_breaks_out_of_its_line(path: str, clients: list[IPv4Address], writable: bool) -> None:
    try:
        export = Export(path, tuple(clients), writable, 731, 731, number=5)
    except ValueError:
        return
    (line,) = [line for line in render_kernel([export]).splitlines() if not line.startswith("#")]
    name, *options = line.split(" ")
    assert name.encode().decode("unicode_escape").encode("latin-1").decode() == path
    assert len(options) == len(set(clients))
    for option, client in zip(options, sorted(set(clients)), strict=True):
        assert option.startswith(f"{client}/32({'rw' if writable else 'ro'},")
        assert "all_squash" in option
        assert "no_root_squash" not in option
    block = render_ganesha([export])
    assert block.count('"') == 4
    assert f'Path = "{path}";\n    Pseudo = "{path}";\n' in block
