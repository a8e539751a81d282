"""Orders in the registry: given, replaced, sent, ended, expired."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.boot import next_boot
from appliance.boot.next_boot import NextBoot
from appliance.errors import UserError
from appliance.heartbeats import orders
from appliance.heartbeats.records import EXPIRES_AFTER, Order
from appliance.registry.database import Registry
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

A, B = MacAddress.parse("52:54:00:aa:bb:01"), MacAddress.parse("52:54:00:aa:bb:02")
NOW = 1_790_000_000.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def asked(registry: Registry) -> list[NextBoot]:
    return next_boot.all_of(registry)


def test_orders_for_two_pcs(registry: Registry) -> None:
    given = orders.give(registry, [A, B], OrderVerb.SUSPEND, NOW)
    assert given == [Order(1, A, OrderVerb.SUSPEND, NOW), Order(2, B, OrderVerb.SUSPEND, NOW)]
    assert orders.open_orders(registry) == {A: (given[0],), B: (given[1],)}
    assert registry.changed(), "the server reads them anew"


def test_a_newer_order_replaces_one_that_was_not_sent(registry: Registry) -> None:
    (sent,) = orders.give(registry, [A], OrderVerb.SUSPEND, NOW)
    orders.record(registry, {sent.id: NOW + 1}, {})
    orders.give(registry, [A], OrderVerb.FINISH, NOW + 2)
    (newest,) = orders.give(registry, [A], OrderVerb.RESUME, NOW + 3)
    assert [order.verb for order in orders.open_orders(registry)[A]] == [OrderVerb.SUSPEND, OrderVerb.RESUME]
    assert orders.latest(registry, A, 2) == [
        newest,
        Order(2, A, OrderVerb.FINISH, NOW + 2, None, NOW + 3, "replaced by a newer order"),
    ]


def test_finish_disk_has_the_next_boot_start_the_disk(registry: Registry) -> None:
    orders.give(registry, [A], OrderVerb.FINISH_DISK, NOW)
    assert asked(registry) == [NextBoot(A, "local", taken=False)]
    orders.give(registry, [A], OrderVerb.FINISH_DISK, NOW)
    assert asked(registry) == [NextBoot(A, "local", taken=False)]
    orders.give(registry, [A], OrderVerb.RESUME, NOW)
    assert asked(registry) == []


def test_what_somebody_else_asked_for_stays(registry: Registry) -> None:
    orders.give(registry, [A], OrderVerb.FINISH_DISK, NOW)
    next_boot.ask(registry, A, "rescue")
    orders.give(registry, [A], OrderVerb.RESUME, NOW)
    assert asked(registry) == [NextBoot(A, "rescue", taken=False)]


def test_sent_and_ended(registry: Registry) -> None:
    first, second = orders.give(registry, [A, B], OrderVerb.UPDATE, NOW)
    orders.record(registry, {first.id: NOW + 5, second.id: NOW + 6}, {second.id: (NOW + 9, "failed: no project")})
    orders.record(registry, {first.id: NOW + 65}, {})
    assert orders.all_of(registry) == [
        Order(1, A, OrderVerb.UPDATE, NOW, NOW + 5),
        Order(2, B, OrderVerb.UPDATE, NOW, NOW + 6, NOW + 9, "failed: no project"),
    ]
    assert list(orders.open_orders(registry)) == [A]


def test_an_order_that_nobody_fetched_expires(registry: Registry) -> None:
    sent, unsent = orders.give(registry, [A, B], OrderVerb.FINISH_DISK, NOW)
    orders.record(registry, {sent.id: NOW + 5}, {})
    orders.expire(registry, NOW + EXPIRES_AFTER)
    assert len(orders.open_orders(registry)) == 2
    later = NOW + EXPIRES_AFTER + 1
    orders.expire(registry, later)
    assert list(orders.open_orders(registry)) == [A]
    assert orders.latest(registry, B, 1)[0].result == "expired: the PC sent no heartbeat for a day"
    assert asked(registry) == [NextBoot(A, "local", taken=False)]
    assert unsent.expired(later)
    orders.expire(registry, later + orders.KEPT_SECONDS + 1)
    assert [order.mac for order in orders.all_of(registry)] == [A]


def test_an_order_that_has_just_ended_is_not_cancelled(registry: Registry) -> None:
    """The PC starts its disk now: it would be wrong to let it start the live system instead."""
    (order,) = orders.give(registry, [A], OrderVerb.FINISH_DISK, NOW)
    orders.record(registry, {order.id: NOW + 5}, {order.id: (NOW + 9, "done")})
    orders.cancel(registry, [order], NOW + 10)
    assert [(each.ended, each.result) for each in orders.all_of(registry)] == [(NOW + 9, "done")]
    assert asked(registry) == [NextBoot(A, "local", taken=False)]


def test_numbers_are_never_used_again(registry: Registry) -> None:
    """A PC does no order twice, by its number."""
    orders.give(registry, [A, A, A], OrderVerb.UPDATE, NOW)
    registry.sql.execute("DELETE FROM orders")
    assert orders.give(registry, [A], OrderVerb.UPDATE, NOW)[0].id == 4


@pytest.mark.parametrize(
    ("verb", "sent", "started", "overtaken"),
    [
        (OrderVerb.OFF, NOW + 5, NOW + 9, True),
        (OrderVerb.OFF, NOW + 5, NOW - 9, False),
        (OrderVerb.OFF, None, NOW + 9, False),
        (OrderVerb.FINISH_DISK, None, NOW + 9, True),
        (OrderVerb.FINISH_DISK, None, NOW - 9, False),
        (OrderVerb.SUSPEND, NOW + 5, NOW + 9, False),
    ],
)
def test_an_order_that_was_to_end_an_earlier_boot(
    verb: OrderVerb, sent: float | None, started: float, overtaken: bool
) -> None:
    """Its PC went off before it could say that it is done. In its next boot it must not go off again."""
    assert Order(1, A, verb, NOW, sent).overtaken(started) is overtaken


def test_damaged_rows_are_reported(registry: Registry) -> None:
    registry.sql.execute("INSERT INTO orders (mac, verb, given, result) VALUES (1, 'explode', 1.0, '')")
    with pytest.raises(UserError, match="a row of its table 'orders' cannot be read"):
        orders.open_orders(registry)
