"""A hundred thousand PCs that have booted: what `status` and a restart of the server read of them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.firmware.memory import FirmwareMemory
from appliance.journal.recorder import MOST_BOOTS, Journal
from appliance.registry.database import Registry
from appliance.view.clients import client_views
from appliance.view.facts import gather, gather_clients
from appliance.view.status import as_json, status_view
from services.boinc.condition import Condition, Doing, to_json
from services.ethernet import MacAddress
from services.events import Reported
from tests.unit.appliance.registry.crowd import FIRST, fill

PCS = 100_000
AT = 1_790_000_000.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of that server."""
    found = tmp_path_factory.mktemp("crowd")
    fill(found / "registry" / "registry.sqlite3", PCS, AT)
    condition = to_json(Condition(Doing.COMPUTING, AT))
    with Registry(found / "registry" / "registry.sqlite3", durable=False) as registry, registry.transaction():
        registry.sql.executemany(
            "INSERT INTO heartbeats VALUES (?, ?, ?, 'computing', '{}', ?)",
            ((FIRST + n, n, AT + (990 if n % 10 else 100), condition) for n in range(1, PCS + 1)),
        )
    return found


@pytest.fixture
def registry(data: Path) -> Iterator[Registry]:
    with Registry(data / "registry" / "registry.sqlite3", durable=False) as registry:
        yield registry


def test_status_reads_what_it_shows(data: Path, registry: Registry) -> None:
    config = parse(f'[server]\ndata = "{data}"\n', data / "c.toml")
    began = time.process_time()
    document = as_json(status_view(gather(config, registry, AT + 1000), AT + 1000))
    assert time.process_time() - began < 5.0, "seconds of the processor; 0.2 where nothing else runs"
    assert len(document["boots"]) == 1000
    assert document["counted"] == {"clients": PCS, "newcomers": 0}
    assert {name: many for name, many in document["pcs"]["states"].items() if many} == {
        "computing": PCS - PCS // 10, "silent": PCS // 10,
    }  # fmt: skip
    assert {boot["now"]["kind"] for boot in document["boots"]} == {"silent"}
    assert document["boots"][0]["mac"] == str(MacAddress(FIRST + 10)), "heard at the same time as the others"


def test_a_list_has_pages(data: Path, registry: Registry) -> None:
    config = parse(f'[server]\ndata = "{data}"\n', data / "c.toml")
    began = time.process_time()
    (known,) = gather_clients(config, registry, MacAddress(FIRST + 500), 100, frozenset(), AT)
    assert time.process_time() - began < 5.0
    assert [view.mac for view in client_views(known, AT)][::99] == [
        str(MacAddress(FIRST + 501)),
        str(MacAddress(FIRST + 600)),
    ]
    assert known.follow == PCS - 600
    (end,) = gather_clients(config, registry, MacAddress(FIRST + PCS), 100, frozenset(), AT)
    assert end.follow == 0


def test_a_restart_reads_the_boots_heard_last(registry: Registry) -> None:
    """A PC that was away longer is read when it is heard again; one that failed is shown first."""
    began = time.process_time()
    registry.check(0.3)
    journal = Journal(registry, lambda: AT + 2000, lambda *_: None)
    firmware = FirmwareMemory(registry, shim=False)
    assert time.process_time() - began < 5.0, "seconds of the processor; 0.8 where nothing else runs"
    assert MOST_BOOTS <= len(journal.boots()) <= MOST_BOOTS + 2000
    first = MacAddress(FIRST + 1)
    assert first not in {boot.mac for boot in journal.boots()}
    boot, client = journal.boot(first), journal.client(first)
    assert boot
    assert client
    assert (boot.id, client.number) == (1, 0)
    journal.record(Reported(first, "failed", {"reason": "no disk"}))
    firmware.observe(Reported(first, "failed"), AT)
    journal.flush()
    shown = status_view(gather(parse("", Path("c.toml")), registry, AT + 2000), AT + 2000)
    assert shown.boots[0].mac == str(first)
