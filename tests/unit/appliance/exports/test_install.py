"""Applying exports: the PCs' directories, and what keeps root from being misled.

NFS-Ganesha itself is in tests/netns, the kernel's server in tests/server; here only a pid file is missing.
"""

import os
import stat
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.config.file import Config, NfsSettings, ServerSettings
from appliance.errors import UserError
from appliance.exports import install as exports
from appliance.exports import volumes, wall
from appliance.exports.grants import ExportGrant
from appliance.exports.volumes import MountRequest
from appliance.exports.wall import Observed
from services.ethernet import MacAddress
from services.nfs import nftables
from services.nfs.backend import NfsError, Probes

pytestmark = pytest.mark.usefixtures("owners")

NETWORKS = [IPv4Network("10.77.0.0/24")]
GRANT = ExportGrant(MacAddress.parse("52:54:00:aa:bb:cc"), 1, (IPv4Address("10.77.0.9"),))
NAME = "525400aabbcc"


class Mounting:
    """Stands for the mounts: what was asked for, and what is there. Real ones are in tests/netns/test_volumes.py."""

    def __init__(self) -> None:
        self.mounted: set[str] = set()
        self.made: set[str] = set()
        self.broken: set[str] = set()

    def carry_out(self, config: Config, request: MountRequest) -> dict[str, str]:
        for name in {*request.mount} - self.broken:
            self.made.add(name)
            self.mounted.add(self._path(config, name))
        if request.keep is not None:
            self.mounted -= {self._path(config, name) for name in self.made - {"images", *request.keep}}
        return {name: "no loop device" for name in request.mount if name in self.broken}

    @staticmethod
    def _path(config: Config, name: str) -> str:
        return str(config.images if name == "images" else config.state / name)


@pytest.fixture(autouse=True)
def mounting(monkeypatch: pytest.MonkeyPatch) -> Mounting:
    mounting = Mounting()
    monkeypatch.setattr(volumes, "alone", lambda _config: frozenset(mounting.mounted))
    monkeypatch.setattr(volumes, "names", lambda _config: frozenset(mounting.made))
    monkeypatch.setattr(exports, "carry_out", mounting.carry_out)
    return mounting


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(wall, "put_up", lambda *_: Observed())
    monkeypatch.setattr(exports, "probe", lambda: Probes(nfsd=False, exportfs=False, ganesha=True, ganesha_vfs=True))
    nfs = NfsSettings(
        backend="ganesha", ganesha_config=tmp_path / "etc" / "ours.conf", ganesha_pid_file=tmp_path / "no" / "pid"
    )
    return Config(tmp_path / "config.toml", server=ServerSettings(data=tmp_path / "data"), nfs=nfs)


def install(config: Config, *grants: ExportGrant) -> None:
    """Everything except the signal to NFS-Ganesha, which is not running."""
    with pytest.raises(UserError, match="NFS-Ganesha is not running"):
        exports.install(config, NETWORKS, grants or [GRANT])


def mode_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_each_pc_gets_its_own_directory(config: Config) -> None:
    install(config)
    assert mode_of(config.state / NAME) == (731, 731, 0o700)
    assert mode_of(config.state) == (0, 0, 0o711)
    assert mode_of(config.images) == (0, 0, 0o755)
    work = config.state / NAME / "client_state.xml"
    work.write_text("hours of work")
    install(config)
    assert work.read_text() == "hours of work"
    assert f'Path = "{config.state / NAME}"' in config.nfs.ganesha_config.read_text()


def test_a_directory_left_half_made_by_a_power_cut_is_finished(config: Config) -> None:
    install(config)
    half = config.state / NAME
    os.chown(half, 0, 0)
    half.chmod(0o755)
    install(config)
    assert mode_of(half) == (731, 731, 0o700)


def test_without_clients_nothing_is_made(config: Config) -> None:
    with pytest.raises(UserError, match="not running"):
        exports.install(config, (), ())
    assert not config.server.data.exists()
    assert "EXPORT" not in config.nfs.ganesha_config.read_text()


def test_a_refused_grant_changes_nothing(config: Config) -> None:
    with pytest.raises(UserError, match=r"refused: .* has the address 10\.78\.0\.9"):
        exports.install(config, NETWORKS, [GRANT, ExportGrant(MacAddress(2), 2, (IPv4Address("10.78.0.9"),))])
    assert not config.server.data.exists()
    assert not config.nfs.ganesha_config.exists()


@pytest.mark.parametrize("place", ["images", "state", f"state/{NAME}"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_only_a_real_directory_is_exported(config: Config, place: str, kind: str, tmp_path: Path) -> None:
    target = tmp_path / "private"
    target.mkdir(mode=0o700)
    path = config.server.data / place
    path.parent.mkdir(parents=True)
    if kind == "link":
        path.symlink_to(target)
    else:
        path.write_text("")
    with pytest.raises(UserError, match=r"is (a link or )?not a directory") as caught:
        exports.install(config, NETWORKS, [GRANT])
    assert str(path) in caught.value.message
    assert mode_of(target) == (0, 0, 0o700)
    assert not config.nfs.ganesha_config.exists()


@pytest.mark.parametrize("place", ["", "images", "state"])
@pytest.mark.parametrize(("owner", "mode"), [(12345, 0o755), (0, 0o777), (0, 0o775)])
def test_only_root_may_be_able_to_replace_what_is_exported(config: Config, place: str, owner: int, mode: int) -> None:
    path = config.server.data / place
    path.mkdir(parents=True)
    path.chmod(mode)
    os.chown(path, owner, 0)
    with pytest.raises(UserError, match="can be changed by users other than root") as caught:
        exports.install(config, NETWORKS, [GRANT])
    assert f"chown root:root {path}" in caught.value.hint
    assert not config.nfs.ganesha_config.exists()


def test_the_data_directory_itself_may_be_a_link(config: Config, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    install(replace(config, server=ServerSettings(data=tmp_path / "link")))
    assert mode_of(tmp_path / "disk" / "state" / NAME) == (731, 731, 0o700)


def test_the_wall_is_up_before_anything_is_exported(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wall, "put_up", lambda *_: found.append(config.nfs.ganesha_config.exists()))
    found: list[bool] = []
    install(config)
    assert found == [False]
    assert "EXPORT" in config.nfs.ganesha_config.read_text()


@pytest.mark.parametrize("up", [True, False, None])
def test_without_a_wall_nothing_is_exported(config: Config, monkeypatch: pytest.MonkeyPatch, up: bool | None) -> None:
    """Of what was in force before, only what a wall still guards stays."""

    def put_up(*_: object) -> Observed:
        raise NfsError("the NFS ports cannot be guarded: nft is not installed", "apt-get install nftables")

    def is_up() -> bool:
        if up is None:
            raise NfsError("nft is not installed", "")
        return up

    install(config)
    before = config.nfs.ganesha_config.read_text()
    monkeypatch.setattr(wall, "put_up", put_up)
    monkeypatch.setattr(nftables, "is_up", is_up)
    other = ExportGrant(MacAddress(2), 2, (IPv4Address("10.77.0.10"),))
    with pytest.raises(UserError, match="cannot be guarded: nft is not installed") as caught:
        exports.install(config, NETWORKS, [GRANT, other])
    assert caught.value.hint == "apt-get install nftables"
    after = config.nfs.ganesha_config.read_text()
    assert after == before if up else "EXPORT" not in after


def test_withdrawing_takes_the_wall_down_last(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    install(config)
    left: list[str] = []
    monkeypatch.setattr(wall, "take_down", lambda: left.append(config.nfs.ganesha_config.read_text()))
    with pytest.raises(UserError, match="not running"):
        exports.withdraw(config)
    (text,) = left
    assert "EXPORT" not in text


def exported(config: Config) -> set[str]:
    text = config.nfs.ganesha_config.read_text()
    return {line.split('"')[1].rpartition("/")[2] for line in text.splitlines() if " Path = " in line}


def test_a_directory_is_mounted_while_it_is_exported(
    config: Config, mounting: Mounting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "apply", lambda *_, **__: True)
    second = ExportGrant(MacAddress(2), 2, (IPv4Address("10.77.0.10"),))
    exports.install(config, NETWORKS, [GRANT, second])
    assert {Path(path).name for path in mounting.mounted} == {"images", NAME, "000000000002"}
    exports.install(config, NETWORKS, [second])
    assert {Path(path).name for path in mounting.mounted} == {"images", "000000000002"}


@pytest.mark.parametrize("broken", [NAME, "images"])
def test_ganesha_exports_nothing_that_is_not_a_file_system_of_its_own(
    config: Config, mounting: Mounting, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "apply", lambda *_, **__: True)
    mounting.broken = {broken}
    done = exports.install(config, NETWORKS, [GRANT])
    assert f"{broken} cannot be exported: no loop device" in done.left_out
    assert done.directories == 1


def test_one_pcs_broken_file_system_costs_no_other_its_exports(config: Config, mounting: Mounting) -> None:
    second = ExportGrant(MacAddress(2), 2, (IPv4Address("10.77.0.10"),))
    mounting.broken = {NAME}
    install(config, GRANT, second)
    assert exported(config) == {"images", "000000000002"}
    mounting.broken = set()
    install(config, GRANT, second)
    assert exported(config) == {"images", NAME, "000000000002"}


def test_a_plain_directory_that_a_pc_may_be_using_stays_exported(config: Config, mounting: Mounting) -> None:
    config.nfs.ganesha_config.parent.mkdir()
    block = '    Path = "{}";\n    Clients = 10.77.0.9;\n'
    config.nfs.ganesha_config.write_text(block.format(config.state / NAME) + block.format(config.images))
    install(config)
    assert exported(config) == {"images", NAME}
    assert not mounting.made


def test_the_kernels_server_exports_a_plain_directory_with_a_check_of_each_handle(
    config: Config, mounting: Mounting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "probe", lambda: Probes(nfsd=True, exportfs=True, ganesha=False, ganesha_vfs=False))
    said: list[str] = []

    def apply(_backend: object, text: str, **_: object) -> bool:
        said.append(text)
        return True

    monkeypatch.setattr(exports, "apply", apply)
    mounting.broken = {NAME}
    kernel = replace(config, nfs=replace(config.nfs, backend="kernel", exports_file=config.path.with_name("exports")))
    exports.install(kernel, NETWORKS, [GRANT])
    assert "mountpoint" not in said[0]
    assert said[0].count(",subtree_check)") == 3, "the images to the PC and to this host, and the PC's own directory"
    assert "images" not in mounting.made
    mounting.broken = set()
    exports.install(kernel, NETWORKS, [GRANT])
    assert f"{NAME} 10.77.0.9/32(rw,sync,all_squash,anonuid=731,anongid=731,no_subtree_check,mountpoint)" in said[1]
    # An image that cannot be mounted must not be hidden by the directory below it.
    mounting.mounted = set()
    mounting.broken = {NAME}
    assert "no loop device" in exports.install(kernel, NETWORKS, [GRANT]).left_out
    assert NAME not in said[2]


def test_without_an_nfs_server_the_wall_is_taken_down_too(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "probe", lambda: Probes(nfsd=False, exportfs=False, ganesha=False, ganesha_vfs=False))
    left: list[str] = []
    monkeypatch.setattr(wall, "take_down", lambda: left.append("nothing"))
    backend, why = exports.withdraw(config)
    assert (backend, left) == (None, ["nothing"])
    assert "NFS-Ganesha is not installed" in why
