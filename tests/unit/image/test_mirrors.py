"""Finding Debian's archive among the apt sources of the build host."""

from dataclasses import replace

import pytest

from image.mirrors import MirrorError, Mirrors, Source, choose, parse, parse_proxy

ONE_LINE = """\
# deb cdrom:[Debian 12]/ bookworm main
deb http://mirror.example.org/debian/ bookworm main contrib # ours
deb-src http://mirror.example.org/debian/ bookworm main
deb [arch=amd64 signed-by=/k/debian-archive-keyring.gpg] http://mirror.example.org/debian bookworm-updates main
deb http://security.example.org/debian-security bookworm-security main
deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://packages.example.com/debian bookworm main
not a line of apt
"""

DEB822 = """\
Types: deb
# a comment between fields
URIs: http://mirror.example.org/debian/
Suites: bookworm
 bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://security.example.org/debian-security
Suites: bookworm-security
Components: main non-free-firmware

Types: deb
Enabled: no
URIs: http://off.example.org/debian
Suites: bookworm
Components: main

Types: deb
URIs: https://packages.example.com/apt
Suites: nodistro
Components: main
Signed-By: /usr/share/keyrings/vendor.gpg
"""

FOUND = Mirrors("http://mirror.example.org/debian", "http://security.example.org/debian-security", updates=True)


def test_one_line_sources() -> None:
    assert choose(parse(ONE_LINE, deb822=False), "bookworm", "bookworm") == FOUND


def test_deb822_sources() -> None:
    assert choose(parse(DEB822, deb822=True), "bookworm", "bookworm") == FOUND


def test_a_third_party_with_the_same_suite_is_not_debian() -> None:
    vendor = "deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://packages.example.com/debian bookworm main\n"
    embedded = (
        "Types: deb\nURIs: https://packages.example.net/debian\nSuites: bookworm\nComponents: main\n"
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    sources = parse(vendor, deb822=False) + parse(embedded, deb822=True) + parse(DEB822, deb822=True)
    assert choose(sources, "bookworm", "bookworm") == FOUND


def test_an_archive_with_updates_is_preferred() -> None:
    unsigned = "deb http://packages.example.com/debian bookworm main\n"
    assert choose(parse(unsigned + ONE_LINE, deb822=False), "bookworm", "bookworm") == FOUND


def test_a_host_without_updates_builds_without_them() -> None:
    text = "deb http://a.example.org/debian bookworm main\ndeb http://s.example.org/x bookworm-security main\n"
    assert choose(parse(text, deb822=False), "bookworm", "bookworm", "http://cache.example.org:3142") == Mirrors(
        "http://a.example.org/debian", "http://s.example.org/x", updates=False, proxy="http://cache.example.org:3142"
    )


def test_a_newer_host_builds_from_the_archive_of_its_own_suite() -> None:
    newer = DEB822.replace("bookworm", "trixie")
    vendor = "deb [signed-by=/etc/apt/keyrings/vendor.gpg] https://packages.example.com/debian bookworm main\n"
    sources = parse(vendor, deb822=False) + parse(newer, deb822=True)
    assert choose(sources, "bookworm", "trixie") == FOUND
    without = parse(newer.replace("\n trixie-updates", ""), deb822=True)
    assert choose(without, "bookworm", "trixie") == replace(FOUND, updates=False)


def test_an_archive_that_names_the_distribution_is_preferred_to_that_of_the_hosts_suite() -> None:
    own = "deb http://new.example.org/debian trixie main\ndeb http://new.example.org/s trixie-security main\n"
    sources = parse(own, deb822=False) + parse(ONE_LINE, deb822=False)
    assert choose(sources, "bookworm", "trixie") == FOUND


@pytest.mark.parametrize(
    ("text", "host", "missing"),
    [
        ("", "bookworm", "bookworm main"),
        ("", "trixie", "trixie main"),
        ("deb http://a.example.org/debian trixie main\n", "bookworm", "bookworm main"),
        ("deb http://a.example.org/debian bookworm contrib\n", "bookworm", "bookworm main"),
        ("deb cdrom:[x]/ bookworm main\n", "bookworm", "bookworm main"),
        ("deb file:/mnt bookworm main\n", "bookworm", "bookworm main"),
        ("deb http://a.example.org/debian bookworm main\n", "bookworm", "bookworm-security main"),
        ("deb http://a.example.org/debian trixie main\n", "trixie", "trixie-security main"),
        (
            "deb [signed-by=/k/vendor.gpg] http://a.example.org/debian trixie main\n"
            "deb [signed-by=/k/vendor.gpg] http://a.example.org/debian trixie-security main\n",
            "trixie",
            "trixie main",
        ),
    ],
)
def test_what_is_missing_is_named(text: str, host: str, missing: str) -> None:
    with pytest.raises(MirrorError, match=f"no entry for {missing}") as caught:
        choose(parse(text, deb822=False), "bookworm", host)
    assert "/etc/apt/sources.list" in caught.value.hint


def test_options_and_comments_of_a_line() -> None:
    assert parse("deb [ signed-by=/k.gpg  arch=amd64 ] http://a.example.org/d/ s c1 c2 # x\n", deb822=False) == (
        Source("http://a.example.org/d", "s", frozenset({"c1", "c2"}), "/k.gpg"),
    )


@pytest.mark.parametrize(
    ("dump", "proxy"),
    [
        ('Acquire::http::Proxy "http://cache.example.org:3142";\n', "http://cache.example.org:3142"),
        ('Acquire::http::Proxy "";\n', ""),
        ('Acquire::http::Proxy "DIRECT";\n', ""),
        ('Acquire::http::Proxy::local.example.org "http://other.example.org";\n', ""),
        ("", ""),
    ],
)
def test_the_proxy_of_apt(dump: str, proxy: str) -> None:
    assert parse_proxy(dump) == proxy
