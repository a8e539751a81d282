"""Why builds failed: what programs really printed, and what is said of it."""

import pytest

from image.failure_causes import find_cause

# Each from the log of a build that failed in this way.
RESOLVING = """\
Ign:1 http://deb.example.org/debian trixie InRelease
  Temporary failure resolving 'deb.example.org'
Err:1 http://deb.example.org/debian trixie InRelease
  Temporary failure resolving 'deb.example.org'
Reading package lists...
E: Failed to fetch http://deb.example.org/debian/dists/trixie/InRelease  Temporary failure resolving 'deb.example.org'
E: Some index files failed to download. They have been ignored, or old ones used instead.
"""
RESOLVING_WGET = """\
I: Retrieving Release
E: Failed getting release file http://mirror.invalid/debian/dists/trixie/Release
--2026-11-30 20:01:16--  http://mirror.invalid/debian/dists/trixie/InRelease
Resolving mirror.invalid (mirror.invalid)... failed: Name or service not known.
wget: unable to resolve host address \N{LEFT SINGLE QUOTATION MARK}mirror.invalid\N{RIGHT SINGLE QUOTATION MARK}
"""
REFUSED_WGET = """\
E: Failed getting release file http://127.0.0.1:9199/debian/dists/trixie/Release
--2026-11-30 20:01:42--  http://127.0.0.1:9199/debian/dists/trixie/InRelease
Connecting to 127.0.0.1:9199... failed: Connection refused.
"""
UNREACHABLE_WGET = """\
E: Failed getting release file http://192.0.2.1/debian/dists/trixie/Release
Connecting to 192.0.2.1:80... failed: Network is unreachable.
"""
UNREACHABLE_PROXY = """\
Err:6 http://deb.example.org/debian trixie-updates Release
  Cannot initiate the connection to 192.0.2.1:3128 (192.0.2.1). - connect (101: Network is unreachable)
Reading package lists...
E: The repository 'http://deb.example.org/debian trixie-updates Release' does not have a Release file.
"""
MUTE = "HTTP request sent, awaiting response... Read error (Connection timed out) in headers.\n"
RESET = """\
HTTP request sent, awaiting response... Read error (Connection reset by peer) in headers.
Giving up.

E: Failed getting release file http://127.0.0.1:9102/debian/dists/trixie/Release
"""
RESET_PROXY = """\
Err:3 http://deb.example.org/debian trixie-updates InRelease
  Unable to connect to 127.0.0.1:9102:
E: Failed to fetch http://deb.example.org/debian/dists/trixie/InRelease  Unable to connect to 127.0.0.1:9102:
"""
CLOSED = """\
  Connection failed [IP: 127.0.0.1 9103]
E: Failed to fetch http://deb.example.org/debian/dists/trixie/InRelease  Connection failed [IP: 127.0.0.1 9103]
"""
FAULTY = """\
HTTP request sent, awaiting response... 503 Service Unavailable
2026-11-30 20:01:35 ERROR 503: Service Unavailable.
"""
FAULTY_PROXY = """\
Err:3 http://deb.example.org/debian trixie-updates InRelease
  503  Service Unavailable [IP: 127.0.0.1 9105]
"""
PASSWORD = """\
HTTP request sent, awaiting response... 407 Proxy Authentication Required
2026-11-30 20:01:38 ERROR 407: Proxy Authentication Required.
E: Failed getting release file http://127.0.0.1:9106/debian/dists/trixie/Release
"""
LOGIN_PAGE = """\
2026-11-30 20:01:40 (6.59 MB/s) - 'Release.gpg' saved [26/26]

gpgv: no valid OpenPGP data found.
gpgv: the signature could not be verified.
"""


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (RESOLVING, "the name of the Debian mirror or of its proxy, deb.example.org, cannot be resolved"),
        (RESOLVING_WGET, "the name of the Debian mirror or of its proxy, mirror.invalid, cannot be resolved"),
        (REFUSED_WGET, "127.0.0.1:9199 refuses connections"),
        (UNREACHABLE_WGET, "there is no way to 192.0.2.1:80"),
        (UNREACHABLE_PROXY, "there is no way to 192.0.2.1:3128"),
        (MUTE, "does not answer"),
        *((each, "ends the connections without an answer") for each in (RESET, RESET_PROXY, CLOSED)),
        *((each, "has a fault of its own") for each in (FAULTY, FAULTY_PROXY)),
        (PASSWORD, "the proxy asks for a password"),
        (LOGIN_PAGE, "a login page of the network"),
    ],
)
def test_what_was_printed_has_a_cause(printed: str, words: str) -> None:
    found = find_cause(printed.splitlines())
    assert found is not None
    assert words in found.words
    assert found.hint


def test_the_cause_is_found_however_far_above_the_end() -> None:
    found = find_cause([*REFUSED_WGET.splitlines(), *["I: Validating"] * 100_000])
    assert found is not None
    assert "refuses connections" in found.words


def test_what_explains_the_rest_is_the_cause() -> None:
    full = "dpkg: error: cannot copy extracted data: failed to write (No space left on device)"
    found = find_cause([*RESOLVING.splitlines(), full, "E: Unable to locate package htop"])
    assert found is not None
    assert found.words == "the disk is full"


def test_what_went_well_at_the_second_try_is_no_cause() -> None:
    apt = RESOLVING.splitlines()[:2]
    wget = [MUTE.strip(), "2026-11-30 20:01:40 (6.59 MB/s) - 'x' saved [26/26]"]
    assert find_cause([*apt, *wget, "run-parts: a hook ended with status 1"]) is None


def test_what_a_hook_says_of_a_network_is_not_about_the_mirror() -> None:
    assert find_cause(["curl: (28) Connection timed out after 1000 ms"], mirror=False) is None
    found = find_cause(["cp: write error: No space left on device"], mirror=False)
    assert found is not None
    assert found.words == "the disk is full"
