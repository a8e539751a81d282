"""A PC that a person wants forgotten, while a server runs and while none does."""

import time
from pathlib import Path

import pytest

from appliance.boot import next_boot
from appliance.config.file import Config, ServerSettings
from appliance.errors import NotFoundError, OvertakenError
from appliance.heartbeats.farewell import say_farewell
from appliance.journal.recorder import Journal
from appliance.registry import forgetting
from appliance.registry.database import Registry
from services.ethernet import MacAddress
from services.events import Discovered
from tests.unit.appliance.cli.room_of_pcs import COMPUTES, OFF, SILENT, STALLED, UNHEARD, fill, pc


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config(tmp_path / "c.toml", server=ServerSettings(data=tmp_path))
    fill(config.registry)
    return config


def test_all_of_it_goes_and_nothing_of_others(config: Config) -> None:
    with Registry(config.registry) as registry:
        next_boot.ask(registry, OFF, "local")
        gone = say_farewell(config, registry, OFF, time.time())
        assert (gone.boots, gone.later) == (1, False)
        for table in ("clients", "boots", "heartbeats", "orders", "next_boots", "adaptations"):
            assert registry.sql.execute(f"SELECT 1 FROM {table} WHERE mac = ?", (OFF.value,)).fetchone() is None
        assert len(registry.clients()) == 6
        with pytest.raises(NotFoundError):
            say_farewell(config, registry, OFF, time.time())


@pytest.mark.parametrize("mac", [COMPUTES, UNHEARD])
def test_one_that_may_be_on_stays(config: Config, mac: MacAddress) -> None:
    with Registry(config.registry) as registry, pytest.raises(OvertakenError, match="may be on"):
        say_farewell(config, registry, mac, time.time())


def test_one_that_was_heard_a_moment_ago_stays(config: Config) -> None:
    with Registry(config.registry) as registry, pytest.raises(OvertakenError, match=r"was heard .* ago"):
        say_farewell(config, registry, OFF, time.time() - 300)


def test_a_running_server_forgets_it_in_its_memory_too(
    config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("appliance.heartbeats.farewell.holder", lambda _: 1)
    forgot = []
    with Registry(config.registry) as server, Registry(config.registry) as verb:
        server.allowlist()
        journal = Journal(server, time.time, lambda *_: None)
        journal.forgot = lambda mac, newcomer: forgot.append((mac, newcomer))
        for mac in (OFF, SILENT, STALLED):
            assert say_farewell(config, verb, mac, time.time()).later
        assert server.changed()
        # One of them is switched on again in that moment.
        journal.open_or_continue(Discovered(STALLED, 7, ipxe=False, xid=9, secs=0), "")
        journal.flush()
        journal.forget_asked()
        assert sorted(mac for mac, _ in forgot) == [SILENT, OFF]
        assert forgetting.asked(verb) == set()
        assert [client.mac for client in verb.clients()] == [pc(1), pc(2), UNHEARD, STALLED, pc(6)]
        assert journal.boot(OFF) is None
        # It is a new PC when it comes back.
        again = journal.open_or_continue(Discovered(OFF, 7, ipxe=False, xid=10, secs=0), "")
        journal.flush()
        assert again.inherited == ()
        assert not journal.knows_number(OFF.value)


def test_a_request_that_nobody_can_read_asks_for_nothing(config: Config) -> None:
    with Registry(config.registry) as registry:
        registry.set_server("forget", {"a": 1})
        assert forgetting.asked(registry) == set()
