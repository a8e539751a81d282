"""What root's helper and the unit that mounts say to each other. The unit itself: tests/server/test_mounts.py."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from appliance.config.file import Config, ServerSettings
from appliance.errors import UserError
from appliance.exports import mailbox, mount_service, volumes
from appliance.exports.volumes import MountRequest
from services.linux import programs
from services.linux.programs import ProgramError

REQUEST = MountRequest(mount=("525400aabbcc", "images"), keep=("525400aabbdd",))


class Unit:
    """Stands for systemd: starts the program in this process."""

    def __init__(self) -> None:
        self.asked: list[MountRequest] = []
        self.problems: Mapping[str, str] = {}
        self.started = 0
        self.broken = False

    def start(self, arguments: Sequence[str], **_: object) -> str:
        assert tuple(arguments) == ("systemctl", "start", mount_service.UNIT)
        self.started += 1
        if self.broken:
            raise ProgramError(arguments, "ended with status 1")
        with pytest.raises(SystemExit):
            mount_service.main()
        return ""

    def carry_out(self, _config: Config, request: MountRequest) -> Mapping[str, str]:
        self.asked.append(request)
        return self.problems


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "c.toml").write_text(f'[server]\ndata = "{tmp_path / "data"}"\n')
    return Config(tmp_path / "c.toml", server=ServerSettings(data=tmp_path / "data"))


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config) -> Unit:
    unit = Unit()
    (tmp_path / "run-exports").mkdir()
    monkeypatch.setenv(mailbox.ENVIRONMENT, str(tmp_path / "run-exports"))
    monkeypatch.setenv("NETBOOT_APPLIANCE_CONFIG", str(config.path))
    monkeypatch.setenv("INVOCATION_ID", "0123456789abcdef")
    monkeypatch.setattr(programs, "output", unit.start)
    monkeypatch.setattr(volumes, "carry_out", unit.carry_out)
    monkeypatch.setattr(volumes, "names", lambda _config: frozenset({"525400aabbcc", "images"}))
    return unit


def test_what_is_asked_arrives_and_what_failed_comes_back(unit: Unit, config: Config) -> None:
    unit.problems = {"525400aabbcc": "no loop device"}
    assert mount_service.carry_out(config, REQUEST) == unit.problems
    assert unit.asked == [REQUEST]
    unit.problems = {}
    assert mount_service.carry_out(config, MountRequest(keep=())) == {}
    assert unit.asked[-1] == MountRequest(keep=())


def test_without_a_request_all_are_mounted_however_long_it_takes(unit: Unit) -> None:
    with pytest.raises(SystemExit) as ended:
        mount_service.main()
    assert ended.value.code == 0
    assert unit.asked == [MountRequest(mount=("525400aabbcc", "images"), seconds=float("inf"))]


def test_what_is_not_mounted_at_the_start_of_the_server_fails_the_unit(
    unit: Unit, capsys: pytest.CaptureFixture[str]
) -> None:
    unit.problems = {"images": "it is broken"}
    with pytest.raises(SystemExit) as ended:
        mount_service.main()
    assert ended.value.code == 1
    assert "images is not mounted: it is broken" in capsys.readouterr().err


def test_a_unit_that_fails_is_an_error_that_names_it(unit: Unit, config: Config) -> None:
    unit.broken = True
    with pytest.raises(UserError, match="were not mounted") as caught:
        mount_service.carry_out(config, REQUEST)
    assert mount_service.UNIT in caught.value.hint


def test_without_systemd_it_mounts_by_itself(unit: Unit, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVOCATION_ID")
    assert mount_service.carry_out(config, REQUEST) == {}
    assert unit.asked == [REQUEST]
    assert not unit.started
