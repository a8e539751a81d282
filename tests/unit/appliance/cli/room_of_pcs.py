"""A registry with PCs in every state, for the tests of `status`, `clients` and `order`."""

import time
from ipaddress import IPv4Address
from pathlib import Path

from appliance.heartbeats import orders, store
from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal.codec import encode_state
from appliance.journal.timeline import Boot, fold
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState, Client
from services.boinc.condition import Condition, Doing, read, to_json
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Reported, ScriptServed
from services.http.heartbeats import OrderVerb

REPLIES = Path(__file__).parents[2] / "services" / "boinc" / "replies"
COMPUTING, REFUSED = (read((REPLIES / f"{name}.xml").read_bytes()) for name in ("computing", "refused"))
FACTS = {
    "uptime": "7300", "load": "3.97", "cores": "4", "memory_mb": "7812", "memory_free_mb": "5120", "temperature": "61",
    "boinc": "running", "state_directory": "ok", "state_free_mb": "18874", "card": "e1000e 8086:15bb",
    "model": "OptiPlex 7060", "cpu": "Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz",
}  # fmt: skip


def pc(number: int) -> MacAddress:
    """The PC with this number."""
    return MacAddress(0x525400000000 + number)


COMPUTES, IDLE, SILENT, UNHEARD, STALLED, FAILED, OFF = (pc(number) for number in range(1, 8))


def fill(path: Path) -> None:
    """Seven PCs with a boot each: their names say what they do now. STALLED has come to the script."""
    now = time.time()
    began = now - 7200
    with Registry(path) as registry, registry.transaction():
        for number in range(1, 8):
            mac = pc(number)
            boot = Boot(number, mac, began, f"token {number}", "20261123-150102-1a2b3c4d", last_event=began)
            boot = fold(boot, Discovered(mac, 7, ipxe=False, xid=5, secs=0), began)
            boot = fold(boot, AddressSeen(mac, IPv4Address("10.77.0.0") + number), began)
            boot = fold(boot, ScriptServed(mac), began + 20)
            if mac == FAILED:
                boot = fold(boot, Reported(mac, "failed", {"reason": "no root"}), began + 30)
            elif mac != STALLED:
                boot = fold(boot, Reported(mac, "computing", {"hostid": str(100 + number)}), began + 60)
            registry.register(Client(number, mac, began, f"password {number}"))
            registry.open_boot(BootRow(boot.id, mac, began, boot.token, boot.release, ""))
            state = BootState(boot.id, boot.last_event, str(boot.stage), boot.under_way, encode_state(boot))
            registry.save_states([state])
    with Registry(path) as registry:
        idle = to_json(Condition(Doing.IDLE, now - 7200, projects=REFUSED.projects, messages=REFUSED.messages))
        store.write(
            registry,
            [
                StoredHeartbeat(COMPUTES, 1, now - 5, FACTS, to_json(COMPUTING)),
                StoredHeartbeat(IDLE, 2, now - 5, {"boinc": "running"}, idle),
                StoredHeartbeat(SILENT, 3, now - 720, FACTS, to_json(COMPUTING)),
                StoredHeartbeat(OFF, 7, now - 400, FACTS, to_json(COMPUTING)),
            ],
        )
        (off,) = orders.give(registry, [OFF], OrderVerb.OFF, now - 450)
        orders.record(registry, {off.id: now - 440}, {off.id: (now - 400, "done")})
