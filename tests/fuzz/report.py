"""A live system's report: from its bytes to what people see, and to the registry's text and back.

The first byte of an input says which stage to put before the rest, if any: few mutations would spell one.

Must hold: no exception; what is kept is bounded and printable, and comes back from the registry unchanged.
"""

import json
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from io import StringIO
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from appliance.cli.output import show_table
from appliance.heartbeats.states import progress
from appliance.journal.codec import decoded, encode
from appliance.journal.timeline import Boot, fold
from appliance.view.boots import boot_view
from services.decision import Ignore
from services.ethernet import MacAddress
from services.events import Reported
from services.http.reports import LONGEST_DETAIL, LONGEST_NAME, MOST_DETAILS, STAGES, decode

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
_SCREEN = StringIO()  # only one: click keeps every stream that it has written to
BOOT = Boot(1, MAC, 1.0, "T0ken", "r1", last_event=1.0)


def seeds() -> list[bytes]:
    """One report of each stage as the live system writes it, and odd ones."""
    usual = urlencode({"uptime": "12.34", "hostid": "7", "name": "boinc-5254"})
    odd = ["reason=%5B%2Fbold%5D+no+route%0Ato+host", "hostid=%ff%fe%00&hostid=8", "stage=&=&=", "stage=failed", "%"]
    return [bytes([at]) + text.encode() for at in range(len(STAGES) + 1) for text in (usual, *odd)]


class Target:
    """Stateless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def __call__(self, data: bytes) -> None:
        """Play one input."""
        stage = data[0] % (len(STAGES) + 1) if data else 0
        take((f"stage={STAGES[stage - 1]}&".encode() if stage else b"") + data[1:])


def take(body: bytes) -> Reported | Ignore:
    """Decode a report, check it, and show it."""
    report = decode(MAC, body)
    if isinstance(report, Ignore):
        return report
    assert report.stage in STAGES
    assert len(report.details) <= MOST_DETAILS
    for name, value in report.details.items():
        assert 0 < len(name) <= LONGEST_NAME
        assert len(value) <= LONGEST_DETAIL
        assert all(letter.isprintable() or letter == "\n" for letter in value)
    boot = fold(BOOT, report, 2.0)
    stored = encode(report)
    stored.encode()  # as SQLite stores it: lone surrogates would fail here
    ((_, revived),) = decoded([(2.0, "Reported", stored)])
    assert revived == report
    json.dumps(asdict(boot_view(boot, 3.0))).encode()
    late = replace(boot, last_event=0.0)
    _SCREEN.seek(0)
    _SCREEN.truncate()
    with redirect_stdout(_SCREEN):
        show_table(("stage", "host"), [(progress(late), late.host_id)], "")
    return report
