"""What the server may say to root: what `encode` writes, and nothing else."""

import contextlib
import json
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.exports import request
from appliance.exports.grants import MOST_GRANTS, ExportGrant
from appliance.exports.request import ExportAnswer, ExportRequest, decode, decode_answer, digest, encode, encode_answer
from services.ethernet import HIGHEST, MacAddress

GRANT = ExportGrant(MacAddress.parse("52:54:00:aa:bb:cc"), 7, (IPv4Address("10.77.0.9"), IPv4Address("10.77.0.8")))
CLIENT: dict[str, Any] = {
    "mac": "52:54:00:aa:bb:cc",
    "number": 7,
    "addresses": ["10.77.0.9"],
    "live": True,
    "pinned": False,
}
REQUEST: dict[str, Any] = {"version": 4, "once": "x", "configuration": "", "clients": [CLIENT]}


@given(
    st.lists(
        st.builds(
            ExportGrant,
            st.integers(0, HIGHEST).map(MacAddress),
            st.integers(),
            st.lists(st.ip_addresses(v=4)).map(tuple),
            st.booleans(),
            st.booleans(),
        )
    )
)
def test_a_request_is_read_as_it_was_written(grants: list[ExportGrant]) -> None:
    assert decode(encode(grants, "once", "a" * 64)) == ExportRequest(tuple(grants), "a" * 64)


def test_the_same_request_made_again_has_another_digest() -> None:
    assert digest(encode([GRANT], "a")) != digest(encode([GRANT], "b"))


def changed(**values: Any) -> dict[str, Any]:
    return REQUEST | values


def client(**values: Any) -> dict[str, Any]:
    return changed(clients=[CLIENT | values])


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        "x",
        7,
        {},
        {"version": 4, "configuration": "", "clients": []},
        {"version": 4, "once": "x", "clients": []},
        changed(version=1),
        changed(version=True),
        changed(version=2),
        changed(version=3),
        changed(version="4"),
        changed(configuration="A" * 64),
        changed(configuration="a" * 63),
        changed(configuration=None),
        changed(configuration="../config.toml"),
        changed(once=1),
        changed(once="x" * 101),
        changed(clients={}),
        changed(clients=[[]]),
        changed(clients=[None]),
        changed(path="/etc"),
        changed(data="/"),
        client(path="/etc"),
        client(options="no_root_squash"),
        client(uid=0),
        client(mac="../../../etc"),
        client(mac="525400aabbcc"),
        client(mac="52:54:00:AA:BB:CC"),
        client(mac=" 52:54:00:aa:bb:cc"),
        client(mac="52:54:00:aa:bb:cc\n"),
        client(mac=7),
        client(number=True),
        client(number=7.0),
        client(number="7"),
        client(number=None),
        client(live=1),
        client(live="no"),
        client(pinned=1),
        client(pinned=None),
        client(addresses="10.77.0.9"),
        client(addresses=[168624137]),
        client(addresses=["*"]),
        client(addresses=["10.77.0.0/24"]),
        client(addresses=["10.77.0.9(rw,no_root_squash)"]),
        client(addresses=["10.77.0.09"]),
        client(addresses=["fe80::1"]),
        client(addresses=["10.77.0.9 "]),
        client(addresses=["10.77.0.9\n/etc *(rw)"]),
        client(addresses=[["10.77.0.9"]]),
    ],
)
def test_nothing_else_is_accepted(request_: object) -> None:
    with pytest.raises(ValueError):
        decode(json.dumps(request_).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"version": 1' + b"0" * 5000 + b"}",
        json.dumps(REQUEST).encode() + b"x",
    ],
)
def test_invalid_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"not JSON|is not an object"):
        decode(content)


@given(st.binary())
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(content)


def test_every_size_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode(encode([GRANT], "x"))
    with pytest.raises(ValueError, match="longer than"):
        decode(b" " * request.LARGEST + b"{}")
    two = [GRANT, ExportGrant(MacAddress(1), 8, GRANT.addresses)]
    content = encode(two, "x")
    monkeypatch.setattr(request, "_MOST_ADDRESSES", 3)
    with pytest.raises(ValueError, match="more than 3 addresses"):
        decode(content)
    with pytest.raises(ValueError, match="too much"):
        encode(two, "x")
    monkeypatch.setattr(request, "MOST_GRANTS", 1)
    with pytest.raises(ValueError, match="more than 1 clients"):
        decode(content)


def test_the_largest_number_of_clients_fits() -> None:
    grants = [
        ExportGrant(MacAddress(number), number, tuple(IPv4Address(number * 4 + i) for i in range(4)))
        for number in range(1, MOST_GRANTS + 1)
    ]
    assert decode(encode(grants, "x")) == ExportRequest(tuple(grants))


HEARD = {"10.77.0.9": 0.0, "10.77.0.8": 299.5}
CLAIMS = (("10.77.0.9", "02:66:00:00:00:01"), ("10.77.0.9", "02:66:00:00:00:02"))


def test_the_answer() -> None:
    answer = ExportAnswer("abc", "kernel", "why", True, 3, heard=HEARD, claims=CLAIMS)
    assert decode_answer(encode_answer(answer)) == answer
    assert decode_answer(encode_answer(ExportAnswer("abc"))) == ExportAnswer("abc")


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"request": 1},
        {"changed": 1},
        {"directories": True},
        {"heard": []},
        {"heard": {"desk": 1.0}},
        {"heard": {"10.77.0.9": 1}},
        {"heard": {"10.77.0.9": True}},
        {"heard": {"10.77.0.9": "1"}},
        {"heard": {"10.77.0.9": -1.0}},
        {"heard": {"10.77.0.9": 300.1}},
        {"heard": {"10.77.0.9": float("nan")}},
        {"heard": {str(IPv4Address(number)): 1.0 for number in range(request._MOST_ADDRESSES + 1)}},
        {"claims": {}},
        {"claims": [["10.77.0.9"]]},
        {"claims": [["10.77.0.9", "02:66:00:00:00:01", "x"]]},
        {"claims": [[168624137, "02:66:00:00:00:01"]]},
        {"claims": [["10.77.0.9", "somebody"]]},
        {"claims": ["ab"]},
        {"claims": [["10.77.0.9", "02:66:00:00:00:01"]] * (request.MOST_CLAIMS + 1)},
    ],
)
def test_no_other_answer_is_accepted(values: dict[str, Any]) -> None:
    whole = json.loads(encode_answer(ExportAnswer("abc", heard=HEARD, claims=CLAIMS)))
    assert decode_answer(json.dumps(whole).encode())
    with pytest.raises(ValueError):
        decode_answer(json.dumps(whole | values).encode())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"request": "x"}', b"[" * 100_000, b" " * (4 << 20) + b"{}"]
)
def test_an_answer_that_is_cut_short_or_too_long_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode_answer(content)
