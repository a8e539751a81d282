"""The live system's report of its progress: from a form-urlencoded body to a `Reported` value. PURE.

A shell script on the client writes it, so it may contain anything: everything is bounded, and each detail becomes
one printable line.
"""

from urllib.parse import parse_qsl

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported, ReportedStage
from services.foreign_text import printable

STAGES = tuple(ReportedStage)
LONGEST_REPORT = 4 << 10  # bytes; the live system's own are shorter than 1 kB
MOST_DETAILS = 16
LONGEST_NAME = 32
LONGEST_DETAIL = 1000  # characters


def decode(mac: MacAddress, body: bytes) -> Reported | Ignore:
    """Read a report: `stage=` with one of STAGES, and any other fields as its details."""
    if len(body) > LONGEST_REPORT:
        return Ignore(Reason.MALFORMED)
    try:
        fields = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="replace",
            max_num_fields=MOST_DETAILS + 1,
        )
    except ValueError:
        return Ignore(Reason.MALFORMED)
    details = {name: printable(value, LONGEST_DETAIL) for name, value in fields}
    stage = details.pop("stage", "")
    if stage not in STAGES or not all(0 < len(name) <= LONGEST_NAME and name.isidentifier() for name in details):
        return Ignore(Reason.MALFORMED)
    return Reported(mac, stage, details)
