"""Any bytes on any connections to a real server on loopback. What must hold: tests/fuzz/http.py and report.py."""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.events import Reported
from services.http.paths import Archive, ImageUrl, LoaderFile, ReportUrl, parse
from services.http.reports import STAGES
from tests.fuzz import http, report
from tests.fuzz.http import BOOT, MOST_PIECES, TOKEN, Target, request
from tests.fuzz.pieces import join

FRAGMENTS = ["boot.ipxe", "image", "r1", "vmlinuz", "loader", "snponly.efi", "secret", TOKEN, "boinc.tar", "report"]
FRAGMENTS += ["live", "..", ".", "", "%2e%2e", "?", "menu", "rescue.ipxe", "boot", "525400aabbcc", "\\", "x" * 4000]
PATHS = st.builds(
    lambda before, parts: before + "/".join(parts),
    st.sampled_from([f"{BOOT}/", "/", "", "http://box/", "*"]),
    st.lists(st.sampled_from(FRAGMENTS), max_size=5),
)
FIELDS = ["Range: bytes=0-9", "Range: bytes=9-0", "Range: bytes=-0", "Range: lines=1", "Connection: close"]
FIELDS += ["Content-Length: 8", "Content-Length: -1", "Transfer-Encoding: chunked", "Expect: 100-continue"]
FIELDS += ["Upgrade: websocket", "Authorization: Basic dTpw", "Authorization: Basic =", "Host: a"]
FIELDS += ["Content-Encoding: gzip"]
HEADERS = st.lists(
    st.one_of(st.sampled_from(FIELDS), st.text(st.characters(max_codepoint=255), max_size=30)), max_size=4
)
REQUESTS = st.builds(
    lambda method, path, headers, body: request(path, *headers, method=method, body=body),
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "get", ""]),
    PATHS,
    HEADERS,
    st.sampled_from(["", "stage=ok", "stage=computing", "8\r\nstage=ok\r\n0\r\n\r\n", "\0" * 100]),
)
SAID = st.one_of(REQUESTS, st.lists(REQUESTS, max_size=3).map(b"".join), st.binary(max_size=200))


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@given(connections=st.lists(st.tuples(st.integers(0, 3), SAID), max_size=MOST_PIECES))
@settings(max_examples=100, deadline=None)
def test_no_bytes_harm_the_server(target: Target, connections: list[tuple[int, bytes]]) -> None:
    target(join(connections))


def test_the_seeds_of_the_fuzzer_are_played(target: Target) -> None:
    for seed in http.seeds():
        target(seed)


@given(PATHS)
def test_no_path_leads_elsewhere(path: str) -> None:
    match parse(path).target:
        case LoaderFile(name):
            names = [name]
        case ImageUrl(release, file):
            names = [release, *file.split("/")]
        case Archive(token) | ReportUrl(token):
            names = [token]
        case _:
            return
    assert not any(name in ("", "..", ".") or set(name) & set("/\\%?\0") for name in names)


DETAILS = st.dictionaries(st.one_of(st.text(max_size=70), st.sampled_from(["hostid", "reason"])), st.text(max_size=300))


@given(st.sampled_from([*STAGES, "", "booted"]), DETAILS, st.binary(max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_report_breaks_what_people_are_shown(stage: str, fields: dict[str, str], tail: bytes) -> None:
    body = urlencode({"stage": stage, **fields}, errors="replace").encode()
    report.take(body)
    report.take(body + b"&" + tail)


def test_the_seeds_of_the_fuzzer_are_reports() -> None:
    taken = []
    with report.Target() as target:
        for seed in report.seeds():
            target(seed)
            taken.append(report.take(seed[1:]) if seed[0] == 0 else None)
    assert any(isinstance(each, Reported) for each in taken)
