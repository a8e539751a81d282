"""`boot next`: for one boot, however often that boot asks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.boot.next_boot import NextBoot, all_of, ask, clear, take
from appliance.registry.database import Registry
from services.ethernet import MacAddress

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def test_it_counts_for_one_boot(registry: Registry) -> None:
    assert take(registry, A, 1) == ""
    ask(registry, A, "local")
    ask(registry, A, "memtest")
    assert all_of(registry) == [NextBoot(A, "memtest", taken=False)]
    assert take(registry, B, 2) == ""
    assert take(registry, A, 3) == "memtest"
    assert all_of(registry) == [NextBoot(A, "memtest", taken=True)]
    assert take(registry, A, 3) == "memtest", "it asks again within its boot"
    assert take(registry, A, 4) == ""
    assert all_of(registry) == []


def test_it_can_be_cancelled(registry: Registry) -> None:
    assert not clear(registry, A)
    ask(registry, A, "local")
    assert clear(registry, A)
    assert take(registry, A, 1) == ""


def test_an_entry_that_a_boot_has_taken_is_not_cancelled_but_replaced(registry: Registry) -> None:
    ask(registry, A, "local")
    take(registry, A, 1)
    assert not clear(registry, A)
    ask(registry, A, "memtest")
    assert take(registry, A, 2) == "memtest"


def test_it_survives_a_restart_of_the_server(registry: Registry, tmp_path: Path) -> None:
    ask(registry, A, "local")
    take(registry, A, 1)
    with Registry(tmp_path / "registry.sqlite3") as other:
        assert take(other, A, 1) == "local"
        assert take(other, A, 2) == ""
    assert all_of(registry) == []
