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
from appliance.exports.request import ExportAnswer, decode, decode_answer, digest, encode, encode_answer
from services.ethernet import HIGHEST, MacAddress

GRANT = ExportGrant(MacAddress.parse("52:54:00:aa:bb:cc"), 7, (IPv4Address("10.77.0.9"), IPv4Address("10.77.0.8")))
CLIENT: dict[str, Any] = {"mac": "52:54:00:aa:bb:cc", "number": 7, "addresses": ["10.77.0.9"], "live": True}
REQUEST: dict[str, Any] = {"version": 2, "once": "x", "clients": [CLIENT]}


@given(
    st.lists(
        st.builds(
            ExportGrant,
            st.integers(0, HIGHEST).map(MacAddress),
            st.integers(),
            st.lists(st.ip_addresses(v=4)).map(tuple),
            st.booleans(),
        )
    )
)
def test_a_request_is_read_as_it_was_written(grants: list[ExportGrant]) -> None:
    assert decode(encode(grants, "once")) == tuple(grants)


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
        {"version": 2, "clients": []},
        changed(version=1),
        changed(version=True),
        changed(version="2"),
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
    assert decode(encode(grants, "x")) == tuple(grants)


def test_the_answer() -> None:
    answer = ExportAnswer("abc", "kernel", "why", True, 3)
    assert decode_answer(encode_answer(answer)) == answer
    for broken in (b"", b"[]", b"{}", b'{"request": "x", "unknown": 1}'):
        with pytest.raises(ValueError):
            decode_answer(broken)
