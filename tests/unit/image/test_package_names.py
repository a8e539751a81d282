"""Names of packages: what an index has, and what somebody may have meant."""

import pytest

from image.package_names import UnknownPackage, names, unknown

INDEX = b"""\
Package: mawk
Provides: awk, mawk-abi (= 1.0)
Description: Package: none

Package: htop
Version: 3
"""
KNOWN = {"htop", "htp", "ncdu", "python3-numpy", "libcurl4", "curl", "tree", "qemu-system-x86", "openssh-server"}


def test_an_index_lists_packages_and_what_they_provide() -> None:
    assert set(names(INDEX)) == {"mawk", "awk", "mawk-abi", "htop"}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("htpo", ("htop", "htp")),
        ("ncud", ("ncdu",)),
        ("treee", ("tree",)),
        ("python3-numppy", ("python3-numpy",)),
        ("openssh-sever", ("openssh-server",)),
        ("pyton3-numpi", ("python3-numpy",)),
        ("qemu-system", ("qemu-system-x86",)),
        ("zzzzzz", ()),
    ],
)
def test_the_nearest_names_are_offered_the_likeliest_first(name: str, near: tuple[str, ...]) -> None:
    assert unknown(("curl", name), KNOWN) == (UnknownPackage(name, near),)


def test_what_is_there_is_not_mentioned() -> None:
    assert unknown(("curl", "tree"), KNOWN) == ()
