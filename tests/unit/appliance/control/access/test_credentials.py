"""Passwords, sessions and tokens in the registry."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.control.access import credentials as c
from appliance.errors import UserError
from appliance.registry.database import Registry

NOW = 1_000_000.0
HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry.sqlite3") as registry:
        yield registry


def everything(registry: Registry) -> str:
    return "\n".join(registry.sql.iterdump())


def test_a_password_is_set_and_kept_as_a_slow_hash(registry: Registry) -> None:
    assert c.password_of(registry) is None
    c.set_password(registry, "correct horse")
    kept = c.password_of(registry)
    assert kept is not None
    assert kept.matches("correct horse")
    assert not kept.matches("correct horsf")
    assert kept.cost >= 1 << 15
    assert "horse" not in everything(registry)


@pytest.mark.parametrize(
    "password", ["", "short12", "x" * 257, "with\ttab and more", "line\nline and more", "\x7f" * 9]
)
def test_a_bad_password_changes_nothing(registry: Registry, password: str) -> None:
    c.set_password(registry, "correct horse")
    before = everything(registry)
    with pytest.raises(UserError, match="8 to 256 characters"):
        c.set_password(registry, password)
    assert everything(registry) == before


def test_letters_of_all_languages_are_welcome(registry: Registry) -> None:
    c.set_password(registry, "пароль-密码-ü")
    kept = c.password_of(registry)
    assert kept is not None
    assert kept.matches("пароль-密码-ü")


def test_only_the_first_password_is_set_where_there_is_none(registry: Registry) -> None:
    assert c.set_password(registry, "first password", only_first=True)
    assert not c.set_password(registry, "second password", only_first=True)
    kept = c.password_of(registry)
    assert kept is not None
    assert kept.matches("first password")


def test_random_passwords_differ_and_may_be_set() -> None:
    made = {c.random_password() for _ in range(50)}
    assert len(made) == 50
    assert all(c.check_password(each) == each and not set(each) & set("0O1lI") for each in made)


def test_a_session_ends_half_a_day_after_the_last_request(registry: Registry) -> None:
    secret = c.begin_session(registry, NOW)
    assert secret not in everything(registry)
    at = NOW
    for _ in range(10):
        at += 11 * HOUR
        assert c.has_session(registry, secret, at)
    assert not c.has_session(registry, secret, at + 12 * HOUR)


def test_a_session_ends_after_a_month_however_busy_it_is(registry: Registry) -> None:
    secret = c.begin_session(registry, NOW)
    for hours in range(6, 30 * 24, 6):
        assert c.has_session(registry, secret, NOW + hours * HOUR)
    assert not c.has_session(registry, secret, NOW + 30 * DAY)


def test_a_clock_that_jumps_back_does_not_lengthen_a_session_for_ever(registry: Registry) -> None:
    secret = c.begin_session(registry, NOW + 40 * DAY)
    assert not c.has_session(registry, secret, NOW)


def test_a_request_a_second_does_not_write_each_time(registry: Registry) -> None:
    secret = c.begin_session(registry, NOW)
    before = registry.sql.total_changes
    for second in range(250):
        assert c.has_session(registry, secret, NOW + second)
    assert registry.sql.total_changes == before


def test_another_password_ends_all_sessions(registry: Registry) -> None:
    secrets = [c.begin_session(registry, NOW) for _ in range(3)]
    c.set_password(registry, "another password")
    assert not any(c.has_session(registry, secret, NOW) for secret in secrets)


def test_logging_out_ends_one_session(registry: Registry) -> None:
    mine, other = c.begin_session(registry, NOW), c.begin_session(registry, NOW)
    c.end_session(registry, mine)
    assert not c.has_session(registry, mine, NOW)
    assert c.has_session(registry, other, NOW)


def test_sessions_are_bounded_and_old_ones_are_forgotten(registry: Registry) -> None:
    for second in range(c.MOST_SESSIONS + 20):
        last = c.begin_session(registry, NOW + second)
    assert registry.sql.execute("SELECT count(*) FROM sessions").fetchone()[0] == c.MOST_SESSIONS
    assert c.has_session(registry, last, NOW + second)
    c.begin_session(registry, NOW + 13 * HOUR)
    assert registry.sql.execute("SELECT count(*) FROM sessions").fetchone()[0] == 1


def test_the_secret_of_forms_belongs_to_the_session(registry: Registry) -> None:
    one, other = c.begin_session(registry, NOW), c.begin_session(registry, NOW)
    assert c.form_secret(one) == c.form_secret(one) != c.form_secret(other)
    assert one not in c.form_secret(one)


def test_tokens_are_made_listed_and_removed(registry: Registry) -> None:
    secret = c.add_token(registry, "grafana", read_only=True, now=NOW)
    other = c.add_token(registry, "script.2", read_only=False, now=NOW + 1)
    assert secret not in everything(registry)
    assert c.token_of(registry, secret) == c.Token("grafana", True, NOW)
    assert c.token_of(registry, other) == c.Token("script.2", False, NOW + 1)
    assert c.tokens(registry) == [c.Token("grafana", True, NOW), c.Token("script.2", False, NOW + 1)]
    assert c.remove_token(registry, "grafana")
    assert not c.remove_token(registry, "grafana")
    assert c.token_of(registry, secret) is None


@pytest.mark.parametrize("secret", ["", "nba_", "nba_" + "x" * 43, "\udcff", "x" * 100_000])
def test_what_is_no_token_is_none(registry: Registry, secret: str) -> None:
    c.add_token(registry, "grafana", read_only=True, now=NOW)
    assert c.token_of(registry, secret) is None


@pytest.mark.parametrize("name", ["", "a b", "-x", "x\n", "ü", "x" * 64, "grafana"])
def test_a_bad_name_makes_no_token(registry: Registry, name: str) -> None:
    c.add_token(registry, "grafana", read_only=True, now=NOW)
    with pytest.raises(UserError):
        c.add_token(registry, name, read_only=True, now=NOW)
    assert len(c.tokens(registry)) == 1


def test_a_session_goes_on_while_nothing_can_be_written(registry: Registry) -> None:
    secret = c.begin_session(registry, NOW)
    registry.sql.execute("PRAGMA query_only = ON")
    assert c.has_session(registry, secret, NOW + 2 * HOUR)
    assert not c.has_session(registry, secret, NOW + 13 * HOUR)


def test_a_session_goes_on_while_another_program_writes(registry: Registry) -> None:
    secret = c.begin_session(registry, NOW)
    with Registry(registry.path) as other, other.transaction():
        other.sql.execute("DELETE FROM tokens")
        began = time.monotonic()
        assert c.has_session(registry, secret, NOW + 2 * HOUR)
        assert time.monotonic() - began < 5


def test_sessions_of_a_clock_that_was_far_ahead_take_no_place(registry: Registry) -> None:
    for _ in range(c.MOST_SESSIONS):
        c.begin_session(registry, NOW + 3650 * DAY)
    mine, other = c.begin_session(registry, NOW), c.begin_session(registry, NOW)
    assert c.has_session(registry, mine, NOW)
    assert c.has_session(registry, other, NOW)
