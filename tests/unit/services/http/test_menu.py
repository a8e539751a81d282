"""Scripts of single menu entries, and the password of a locked one, as curl and iPXE send it."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision import Reason
from services.events import Ignored
from services.http.basic_auth import password
from services.http.server import HttpServer
from tests.fakes.event_log import EventLog
from tests.unit.services.http.conftest import BOOT, ENTRY, Box, Connect, curl, get

RESCUE = f"{BOOT}/menu/rescue.ipxe"


async def test_an_entry_that_is_not_locked(server: HttpServer, box: Box, connect: Connect) -> None:
    assert await curl(server, f"{BOOT}/menu/local.ipxe") == (200, ENTRY.encode())
    answer = await (await connect()).ask(get(f"{BOOT}/menu/local.ipxe", "Connection: close"))
    assert b"Cache-Control: no-store" in answer, "the script holds a token"


async def test_a_locked_entry_asks_for_the_password(server: HttpServer, connect: Connect, events: EventLog) -> None:
    answer = await (await connect()).ask(get(RESCUE, "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b'WWW-Authenticate: Basic realm="netboot-appliance"' in answer
    assert ENTRY.encode() not in answer
    assert not events.seen, "every client asks without a password first"


async def test_the_right_password_opens_it(server: HttpServer, box: Box) -> None:
    """curl --anyauth does as iPXE does: it asks without a password first, then answers the challenge."""
    right = ("--anyauth", "--user", "somebody:s3cr:et &")
    assert await curl(server, RESCUE, *right) == (200, ENTRY.encode())
    assert box.passwords == [None, "s3cr:et &"]


async def test_a_wrong_password_is_reported_and_so_are_too_many(server: HttpServer, events: EventLog) -> None:
    wrong = ("--user", "somebody:wrong")
    for _ in range(5):
        status, answer = await curl(server, RESCUE, *wrong)
        assert (status, answer) == (403, f"{Reason.PASSWORD_WRONG}\n".encode())
    assert (await curl(server, RESCUE, *wrong))[0] == 429
    ignored = [(event.reason, event.detail) for event in events.seen if isinstance(event, Ignored)]
    assert ignored == [(Reason.PASSWORD_WRONG, "menu/rescue.ipxe")] * 5 + [
        (Reason.PASSWORDS_BLOCKED, "menu/rescue.ipxe")
    ]
    assert "wrong" not in "".join(detail for _, detail in ignored), "what was typed is not logged"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", None),
        ("Basic", None),
        ("Basic !", None),
        ("Basic YTpi", "b"),
        ("basic  YTpi ", "b"),
        ("Bearer YTpi", None),
        ("Basic YWI=", None),
        ("Basic OmI6Yw==", "b:c"),
        ("Basic YTo=", ""),
        ("Basic /w==", None),
    ],
)
def test_the_authorization_header(header: str, found: str | None) -> None:
    assert password(header) == found


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    found = password(f"Basic {header}")
    assert found is None or quote(found) is not None
