"""Root's helper: request in, answer out. As it runs under systemd, and with real NFS: tests/netns, tests/server."""

import json
import os
import subprocess
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.exports import mailbox
from appliance.exports.grants import ExportGrant
from appliance.exports.install import Installed
from appliance.exports.mailbox import answer_file, read_answer, request_file
from appliance.exports.request import ExportAnswer, ExportRequest, decode, digest, encode
from appliance.exports.root_helper import serve_requests
from services.ethernet import MacAddress
from services.linux import atomic_file
from services.nfs.backend import Backend

pytestmark = pytest.mark.usefixtures("owners")

GRANT = ExportGrant(MacAddress.parse("52:54:00:aa:bb:cc"), 1, (IPv4Address("10.77.0.9"),))
CONFIGURATION = """
[server]
interfaces = ["lo"]
data = "{}/data"
[nfs]
networks = ["10.77.0.0/24"]
backend = "ganesha"
ganesha_config = "{}/ours.conf"
"""


class Place:
    """Both directories, the configuration, and what was applied."""

    def __init__(self, directory: Path) -> None:
        self.server = directory / "box"
        self.root = directory / "box-exports"
        self.server.mkdir()
        self.root.mkdir()
        os.chown(self.server, 12345, 12345)
        self.config = directory / "config.toml"
        self.config.write_text(CONFIGURATION.format(directory, directory))
        self.installed: list[tuple[list[str], tuple[ExportGrant, ...]]] = []
        self.meanwhile: list[bytes] = []

    def ask(self, content: bytes) -> str:
        request = request_file(self.server)
        atomic_file.write(request, content)
        os.chown(request, 12345, 12345)
        return digest(content)

    def install(
        self, config: Config, networks: tuple[object, ...], grants: tuple[ExportGrant, ...], _mounting: object
    ) -> Installed:
        self.installed.append(([str(network) for network in networks], grants))
        if self.meanwhile:
            self.ask(self.meanwhile.pop(0))
        return Installed(Backend.KERNEL, "why", True, len(grants))

    def serve(self) -> None:
        serve_requests(self.config)

    @property
    def answer(self) -> ExportAnswer | None:
        return read_answer(answer_file(self.server))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setenv(mailbox.ENVIRONMENT, str(place.root))
    monkeypatch.setattr("appliance.exports.install.install", place.install)
    return place


def test_a_request_is_applied_and_answered(place: Place) -> None:
    name = place.ask(encode([GRANT], "x"))
    place.serve()
    assert place.installed == [(["10.77.0.0/24"], (GRANT,))]
    assert place.answer == ExportAnswer(name, "kernel", "why", True, 1)
    assert (place.root / "result.json").stat().st_mode & 0o7777 == 0o644, "for the server to read"
    place.serve()
    assert len(place.installed) == 2, "a repeated request is done again"


def test_without_a_request_nothing_happens(place: Place) -> None:
    place.serve()
    assert place.installed == []
    assert place.answer is None


def test_a_request_written_meanwhile_is_answered_too(place: Place) -> None:
    place.ask(encode([], "1"))
    place.meanwhile = [encode([GRANT], "2"), encode([GRANT], "3")]
    last = digest(place.meanwhile[-1])
    place.serve()
    assert [grants for _, grants in place.installed] == [(), (GRANT,), (GRANT,)]
    assert place.answer
    assert place.answer.request == last


def test_a_malicious_request_is_answered_with_an_error_and_changes_nothing(place: Place) -> None:
    content = json.dumps(
        {"version": 4, "once": "x", "configuration": "", "clients": [{"path": "/etc", "options": "*(rw)"}]}
    ).encode()
    name = place.ask(content)
    with pytest.raises(UserError, match="request is refused: a client is not an object of mac, number, addresses"):
        place.serve()
    assert place.installed == []
    assert place.answer
    assert (place.answer.request, place.answer.backend) == (name, "")
    assert place.answer.error.startswith("the server's request is refused")
    assert "nothing was changed" in place.answer.hint


def test_an_earlier_error_is_not_reported_for_the_latest_request(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.ask(b"nonsense")

    def answered_late(content: bytes) -> ExportRequest:
        if content == b"nonsense":
            place.ask(encode([GRANT], "x"))
        return decode(content)

    monkeypatch.setattr("appliance.exports.root_helper.decode", answered_late)
    place.serve()
    assert place.answer
    assert place.answer.error == ""


def test_a_link_is_not_followed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("root's secret")
    request_file(place.server).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is refused"):
        place.serve()
    assert place.answer is None


def test_a_broken_configuration_leaves_the_previous_one_in_force(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.ask(encode([GRANT], "x"))
    place.serve()
    kept = place.root / "config.toml"
    assert kept.stat().st_mode & 0o7777 == 0o600, "the account key is in it"
    place.config.write_text("[server\n")
    place.serve()
    assert place.installed[0] == place.installed[1]
    assert "continuing with the previous configuration" in capsys.readouterr().err
    kept.unlink()
    with pytest.raises(UserError, match=r"config\.toml"):
        place.serve()
    assert place.answer
    assert "config.toml" in place.answer.error


def test_an_edit_that_the_server_has_not_accepted_changes_nothing(place: Place) -> None:
    accepted = load(place.config).digest
    place.ask(encode([GRANT], "1", accepted))
    place.serve()
    edited = place.config.read_text().replace("10.77.0.0/24", "10.88.0.0/24")
    place.config.write_text(edited)
    place.ask(encode([GRANT], "2", accepted))
    place.serve()
    assert [networks for networks, _ in place.installed] == [["10.77.0.0/24"]] * 2
    place.config.write_text(edited.replace('"lo"', '"nosuch0"'))
    place.ask(encode([GRANT], "3", accepted))
    place.serve()
    assert place.installed[2] == place.installed[0]
    place.config.write_text(edited)
    place.ask(encode([GRANT], "4", load(place.config).digest))
    place.serve()
    assert place.installed[3][0] == ["10.88.0.0/24"], "after a reload"


def test_the_networks_are_those_of_the_interfaces_when_none_are_named(place: Place) -> None:
    place.config.write_text('[server]\ninterfaces = ["lo"]\n')
    place.ask(encode([], "x"))
    place.serve()
    assert place.installed[0][0] == ["127.0.0.0/8"]
    place.config.write_text('[server]\ninterfaces = ["nosuch0"]\n')
    with pytest.raises(UserError, match="interfaces: there is no interface nosuch0"):
        place.serve()


def test_the_program_prints_the_error_and_fails(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.ask(encode([ExportGrant(GRANT.mac, 1, (IPv4Address("8.8.8.8"),))], "x"))
    environment = {"RUNTIME_DIRECTORY": str(place.root), "NETBOOT_APPLIANCE_CONFIG": str(place.config)}
    done = subprocess.run(
        [sys.executable, "-I", "-m", "appliance.exports.root_helper"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "error: these exports are refused: 52:54:00:aa:bb:cc has the address 8.8.8.8" in done.stderr
    assert "hint: nothing was changed" in done.stderr
    assert not (tmp_path / "ours.conf").exists()


def test_it_imports_only_what_it_needs() -> None:
    """A PC waits for it: the command line, netlink and the database would take half a second, on a slow server five."""
    program = "import sys, appliance.exports.root_helper; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    heavy = {"typer", "rich", "asyncio", "sqlite3", "pyroute2", "structlog", "httptools", "ssl", "http.client"}
    assert heavy & set(done.stdout.split()) == set()
