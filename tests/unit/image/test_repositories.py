"""Repositories of an administrator: what is taken, what apt gets, and what is refused."""

import pytest

from image.mirrors import parse as parse_sources
from image.repositories import RepositoryError, apt_files, parse

KEY = b"\x98\x03key"
STANZA = """\
# ours
Types: deb deb-src
URIs: https://v.example.org/apt/
Suites: @DISTRIBUTION@ @DISTRIBUTION@-extra
Components: main contrib
Architectures: amd64 arm64
Signed-By: /usr/share/keyrings/vendor.gpg

Enabled: no
Types: deb
URIs: https://off.example.org/
Suites: stable
Components: main
"""


def test_a_stanza_becomes_one_for_its_own_key_alone() -> None:
    found, used = parse(STANZA, deb822=True, keys={"vendor.gpg": KEY})
    assert used == {"vendor.gpg"}
    files = apt_files(found, "trixie")
    sources = files["netboot-own.sources"].decode()
    (name,) = files.keys() - {"netboot-own.sources"}
    assert files[name] == KEY
    assert sources == (
        "Types: deb\nURIs: https://v.example.org/apt/\nSuites: trixie trixie-extra\nComponents: main contrib\n"
        f"Architectures: amd64\nSigned-By: /etc/apt/keyrings/{name}\n"
    )
    assert {each.suite for each in parse_sources(sources, deb822=True)} == {"trixie", "trixie-extra"}


def test_lines_of_one_file_share_the_key_beside_it() -> None:
    text = "# a\ndeb http://a.example.org/x stable main # b\ndeb-src http://a.example.org/x stable main\n"
    found, used = parse(text + "deb [ arch=amd64 ] http://b.example.org/ ./\n", deb822=False, keys={"": KEY})
    assert used == {""}
    assert [(each.uris, each.suites, each.components) for each in found] == [
        (("http://a.example.org/x",), ("stable",), ("main",)),
        (("http://b.example.org/",), ("./",), ()),
    ]
    assert len(apt_files(found, "trixie")) == 2, "one key is one file"


def test_a_key_may_stand_in_the_stanza_itself() -> None:
    block = "\n".join(f" {line or '.'}" for line in ARMORED.splitlines())
    stanza = f"Types: deb\nURIs: http://a.example.org\nSuites: s\nComponents: main\nSigned-By:\n{block}\n"
    found, _ = parse(stanza, deb822=True, keys={})
    assert found[0].keys == KEY


ARMORED = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: 1\n\nmANr\nZXk=\n=AAAA\n-----END PGP PUBLIC KEY BLOCK-----\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deb http://a.example.org stable", "this names no repository"),
        ("deb http://a.example.org ./ main", "this names no repository"),
        ("deb file:/srv/apt stable main", "'file:/srv/apt' is no address"),
        ("deb http://me:secret@a.example.org stable main", "is no address that an image"),
        ("deb [trusted=yes] http://a.example.org stable main", "trusted would let anybody put packages"),
        ("deb [allow-insecure=yes] http://a.example.org stable main", "allow-insecure would let anybody"),
        ("deb [check-valid-until=no] http://a.example.org stable main", "check-valid-until is not supported"),
        ("deb [arch=arm64] http://a.example.org stable main", "packages for arm64 only"),
        ("deb [signed-by=/k/other.gpg] http://a.example.org stable main", "the key other.gpg is not beside it"),
        ("deb http://a.example.org $(reboot) main", "is not the name of a suite"),
        ("deb http://a.example.org stable @ARCHIVE_AREAS@", "'@ARCHIVE_AREAS@' is not the name"),
        ("rpm http://a.example.org", "no line of apt sources"),
    ],
)
def test_what_is_not_understood_or_not_signed_is_refused_with_its_line(line: str, words: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        parse(f"\n{line}\n", deb822=False, keys={"": KEY})
    assert words in str(caught.value)
    assert caught.value.line == 2
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x94\x03key", b"\x98\x09key"])
def test_what_is_no_public_key_is_refused(content: bytes) -> None:
    with pytest.raises(RepositoryError, match="its key cannot be used: it"):
        parse("deb http://a.example.org s main", deb822=False, keys={"": content})


def test_a_field_of_a_stanza_that_is_switched_off_counts_too() -> None:
    with pytest.raises(RepositoryError, match="trusted") as caught:
        parse("\n\nTypes: deb\nEnabled: no\nTrusted: yes\n", deb822=True, keys={})
    assert caught.value.line == 3


def test_without_repositories_apt_gets_nothing() -> None:
    assert apt_files((), "trixie") == {}
