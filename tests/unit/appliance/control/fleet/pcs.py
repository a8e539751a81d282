"""PCs of the fleet, as values."""

from typing import Any

from appliance.control.fleet.pcs import KeptPc, PcFacts, sought
from appliance.diagnosis.fault import Diagnosis
from appliance.heartbeats.states import Kind
from tests.unit.appliance.cli.room_of_pcs import pc

REFUSES = Diagnosis("the project refuses the account key", "netboot-appliance reload")
SILENT = Diagnosis("sends no heartbeat any more", "switch it on", "silent for 15 min")


def facts(number: int, **others: Any) -> PcFacts:
    """A PC that computes in room 12, unless `others` says otherwise."""
    values: dict[str, Any] = {
        "mac": str(pc(number)),
        "label": "room 12",
        "allowed": True,
        "kind": Kind.COMPUTING,
        "words": "computing 4 tasks",
        "heard": 1000.0,
        "diagnosis": None,
        "addresses": f"10.77.0.{number}",
        "loaded": True,
        "place": "52:54:00:*",
        "alone": False,
        "progress": 0.5,
    }
    return PcFacts(**(values | others))


def kept(pc: PcFacts, version: int = 1) -> KeptPc:
    """The PC with a short row."""
    return KeptPc(pc, f'<li id="p{pc.mac}">{pc.words}</li>', version, sought(pc), b"{}")
