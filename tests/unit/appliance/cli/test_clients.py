"""`clients` as its user types it."""

import json

import pytest

from appliance.boot import next_boot
from appliance.registry.database import Registry
from appliance.registry.records import Client
from services.ethernet import MacAddress
from tests.unit.appliance.cli.box_with_releases import PC, BoxWithReleases
from tests.unit.appliance.cli.program import Run, assert_refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("clients", "show", "52:54:00:00:00:09"), "has not booted yet"),
        (("clients", "show", "x"), "is not a MAC address"),
        (("clients", "forget", "x"), "is not a MAC address"),
        (("clients", "forget", "52:54:00:00:00:09"), "nothing was learned about 52:54:00:00:00:09"),
        (("clients", "forget"), "name a MAC address or use --all"),
        (("clients", "forget", "52:54:00:00:00:09", "--all"), "name a MAC address or use --all"),
    ],
)
def test_bad_input_is_one_message_with_a_hint_and_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    assert_refused(run, arguments, words)


def test_clients_show_has_the_next_boot(box: BoxWithReleases) -> None:
    box.run("allow", "add", PC)
    mac = MacAddress.parse(PC)
    with Registry(box.data / "registry" / "registry.sqlite3") as registry:
        registry.register(Client(1, mac, 1000.0, "a password"))
        next_boot.ask(registry, mac, "local")
        assert "next boot          local\n" in box.run("clients", "show", PC)
        assert json.loads(box.run("clients", "show", PC, "--json"))["next_boot"] == "local"
        next_boot.take(registry, mac, 1)
    assert "next boot          local (under way)\n" in box.run("clients", "show", PC)
