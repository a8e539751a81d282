"""`control` as its user types it."""

import json
import re
import socket
from pathlib import Path

import pytest

from appliance.control.access import credentials
from appliance.registry.database import Registry
from tests.unit.appliance.cli.program import Run
from tests.unit.debian import need


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "registry" / "registry.sqlite3"


def is_password(path: Path, password: str) -> bool:
    with Registry(path) as registry:
        kept = credentials.password_of(registry)
        return kept is not None and kept.matches(password)


def test_a_password_from_standard_input(run: Run, path: Path) -> None:
    done = run("control", "password", "--stdin", stdin="correct horse\n")
    assert (done.returncode, done.stdout) == (0, "the password is set; all sessions have ended\n")
    assert is_password(path, "correct horse")


@pytest.mark.parametrize("typed", ["", "\n", "short\n", "x" * 300 + "\n", "tab\tin the middle\n"])
def test_a_bad_password_leaves_the_old_one(run: Run, path: Path, typed: str) -> None:
    run("control", "password", "--stdin", stdin="correct horse\n")
    done = run("control", "password", "--stdin", stdin=typed)
    assert done.returncode == 2
    assert done.stderr.startswith("error: a password must have 8 to 256 characters")
    assert is_password(path, "correct horse")


def test_a_random_password_is_printed_once(run: Run, path: Path) -> None:
    done = run("control", "password", "--random", "--if-none")
    made = re.fullmatch(r"the password of the page: (\S{16})\n", done.stdout)
    assert made
    assert is_password(path, made[1])
    again = run("control", "password", "--random", "--if-none")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert is_password(path, made[1])
    assert run("control", "password", "--random", "--stdin").returncode == 2


def test_tokens(run: Run, path: Path) -> None:
    assert run("control", "token", "list").stdout == "There are no tokens.\n"
    secret = run("control", "token", "add", "grafana", "--read-only").stdout.strip()
    with Registry(path) as registry:
        found = credentials.token_of(registry, secret)
    assert found is not None
    assert (found.name, found.read_only) == ("grafana", True)
    run("control", "token", "add", "script")
    assert [row[:3] for row in map(str.split, run("control", "token", "list").stdout.splitlines())] == [
        ["name", "may", "made"],
        ["grafana", "look", found_at(found.added)],
        ["script", "look", "and"],
    ]
    listed = json.loads(run("control", "token", "list", "--json").stdout)
    assert [(each["name"], each["read_only"]) for each in listed] == [("grafana", True), ("script", False)]
    assert secret not in run("control", "token", "list", "--json").stdout

    again = run("control", "token", "add", "grafana")
    assert again.returncode == 2
    assert "netboot-appliance control token remove grafana" in again.stderr
    assert run("control", "token", "remove", "grafana").stdout == "removed the token grafana\n"
    assert run("control", "token", "remove", "grafana").returncode == 2


def found_at(moment: float) -> str:
    import time

    return time.strftime("%Y-%m-%d", time.localtime(moment))


def test_the_address_and_the_fingerprint(run: Run, tmp_path: Path) -> None:
    need("openssl")
    done = run("control", "fingerprint")
    page, fingerprint = done.stdout.splitlines()[-2:]
    assert re.fullmatch(r"page {9}https://[0-9.]+:8443/", page)
    assert re.fullmatch(r"fingerprint  ([0-9A-F]{2}:){31}[0-9A-F]{2}", fingerprint)
    assert run("control", "fingerprint").stdout == done.stdout
    found = json.loads(run("control", "fingerprint", "--json").stdout)
    assert f"fingerprint  {found['fingerprint']}" == fingerprint
    assert f"page         {found['page'][0]}" == page


def test_a_page_that_is_switched_off_is_no_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        f'[server]\ndata = "{tmp_path}/data"\ninterfaces = ["lo"]\n[control]\nenabled = false\n'
    )
    done = run("control")
    assert done.returncode == 0
    assert "the page is switched off" in done.stderr


def test_a_port_that_is_taken_is_named(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "c.toml").write_text(
            f'[server]\ndata = "{tmp_path}/data"\n[control]\nlisten = "127.0.0.1:{port}"\n'
        )
        done = run("control")
    assert done.returncode == 1
    assert f"the page cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "[control] listen" in done.stderr
