"""The file that `backup` writes, and which files `restore` accepts as one."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.allowlist import Entry
from appliance.backup.archive import ALLOWLIST, CONFIG, LARGEST, MANIFEST, REGISTRY, create, unpack, write
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.registry.records import Client
from appliance.registry.schema import MIGRATIONS
from services.ethernet import MacAddress, MacRange

MAC = MacAddress.parse("52:54:00:aa:bb:01")
TEXT = '# of people\n[server]\ndata = "{data}"\n[project]\nurl = "https://p.example.org/"\naccount_key = "1_abc"\n'
Members = dict[str, bytes]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A box that has been used."""
    path = tmp_path / "config.toml"
    path.write_text(TEXT.format(data=tmp_path / "data"))
    config = load(path)
    with Registry(config.registry) as registry:
        registry.allow([Entry(MacRange(MAC, MAC), "window")])
        registry.register(Client(1, MAC, 1.0, "a password"))
    return config


def members(file: Path) -> Members:
    with tarfile.open(file) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def pack(file: Path, content: Members) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


def test_it_holds_the_configuration_the_allowlist_and_the_registry_and_nothing_else(
    config: Config, tmp_path: Path
) -> None:
    file = tmp_path / "b.tar.gz"
    (config.server.data / "state" / MAC.bare).mkdir(parents=True)
    (config.server.data / "state" / MAC.bare / "client_state.xml").write_text("x")
    with Registry(config.registry) as server, server.transaction():
        # What the server has committed to its log is in the backup, what it has not committed is not.
        server.set_server("half", "way")
        contents = create(config, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert (contents.entries, contents.clients) == (1, 1)
    assert not list(tmp_path.glob(".*"))
    found = members(file)
    assert set(found) == {MANIFEST, CONFIG, ALLOWLIST, REGISTRY} == set(contents.files)
    assert found[CONFIG] == config.path.read_bytes()
    assert found[ALLOWLIST] == f"{MAC}  window\n".encode()
    manifest = json.loads(found[MANIFEST])
    assert (manifest["format"], manifest["schema"]) == (1, len(MIGRATIONS))
    assert manifest["host"] == os.uname().nodename
    (tmp_path / "registry.sqlite3").write_bytes(found[REGISTRY])
    with Registry(tmp_path / "registry.sqlite3") as copy:
        assert copy.clients()[0].mac == MAC
        assert copy.server() == {}


def test_without_a_configuration_file(config: Config, tmp_path: Path) -> None:
    contents = create(Config(config.path, written=False, server=config.server), tmp_path / "b.tar.gz")
    assert set(contents.files) == {MANIFEST, ALLOWLIST, REGISTRY}


def test_it_replaces_no_file_and_leaves_no_partial_one(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.tar.gz"
    file.write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        create(config, file)
    assert file.read_text() == "mine"
    with pytest.raises(UserError, match="No such file or directory"):
        create(config, tmp_path / "nowhere" / "b.tar.gz")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        create(config, tmp_path / "c.tar.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.gz", "config.toml", "data"]


def test_without_a_registry_it_creates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TEXT.format(data=tmp_path / "data"))
    with pytest.raises(UserError, match="nothing to back up"):
        write(load(path), io.BytesIO())
    assert not (tmp_path / "data").exists()


def test_what_was_packed_is_unpacked(config: Config, tmp_path: Path) -> None:
    contents = create(config, tmp_path / "b.tar.gz")
    (tmp_path / "out").mkdir()
    assert unpack(tmp_path / "b.tar.gz", tmp_path / "out") == contents.manifest
    assert {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()} == contents.files


def without(name: str) -> Callable[[Members], Members]:
    return lambda found: {key: data for key, data in found.items() if key != name}


def manifest(**values: object) -> Callable[[Members], Members]:
    return lambda found: found | {MANIFEST: json.dumps(json.loads(found[MANIFEST]) | values).encode()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without(MANIFEST), "it contains no manifest.json"),
        (without(REGISTRY), "it contains no registry.sqlite3"),
        (lambda found: found | {"../evil": b""}, "'../evil' does not belong in it"),
        (lambda found: found | {"/etc/passwd": b""}, "'/etc/passwd' does not belong in it"),
        (lambda found: found | {CONFIG: b"#" * (LARGEST[CONFIG] + 1)}, "which is too large"),
        (lambda found: found | {MANIFEST: b"{"}, "manifest.json: "),
        (lambda found: found | {MANIFEST: b"[" * 60_000}, "manifest.json: "),
        (lambda found: found | {MANIFEST: b"[]"}, "it is not an object"),
        (lambda found: found | {MANIFEST: b"\xff"}, "manifest.json: "),
        (manifest(format=2), "from a newer netboot-appliance"),
        (manifest(schema="1"), "no schema"),
        (manifest(schema=True), "no schema"),
        (manifest(host="\x1b[2J"), "host is not plain text"),
        (manifest(made="yesterday"), "Invalid isoformat"),
    ],
)
def test_a_file_that_is_not_a_backup_is_refused(
    config: Config, tmp_path: Path, change: Callable[[Members], Members], words: str
) -> None:
    create(config, tmp_path / "b.tar.gz")
    (tmp_path / "out").mkdir()
    file = pack(tmp_path / "changed.tar.gz", change(members(tmp_path / "b.tar.gz")))
    with pytest.raises(UserError) as error:
        unpack(file, tmp_path / "out")
    assert words in error.value.message
    assert error.value.hint == "nothing was changed"
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_regular_files_are_accepted(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo(REGISTRY)
        info.type, info.linkname = kind, "/etc/shadow"
        tar.addfile(info)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="does not belong in it"):
        unpack(tmp_path / "b.tar.gz", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_name_that_appears_twice_is_refused(config: Config, tmp_path: Path) -> None:
    create(config, tmp_path / "b.tar.gz")
    found = members(tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "twice.tar.gz", "w:gz") as tar:
        for name in (*found, CONFIG):
            info = tarfile.TarInfo(name)
            info.size = len(found[name])
            tar.addfile(info, io.BytesIO(found[name]))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="twice"):
        unpack(tmp_path / "twice.tar.gz", tmp_path / "out")


def test_truncation_and_wrong_bytes_are_noticed(config: Config, tmp_path: Path) -> None:
    create(config, tmp_path / "b.tar.gz")
    sound = (tmp_path / "b.tar.gz").read_bytes()
    broken = tmp_path / "broken.tar.gz"
    for at in range(0, len(sound), 7):
        for data in (sound[:at], sound[:at] + bytes([sound[at] ^ 0x10]) + sound[at + 1 :]):
            broken.write_bytes(data)
            out = tmp_path / f"out-{at}-{len(data)}"
            out.mkdir()
            with suppress(UserError):
                unpack(broken, out)
                # Some bytes of gzip's own header do not matter: then the content is still whole.
                assert gzip.decompress(data) == gzip.decompress(sound)


@pytest.mark.parametrize(
    "content", [b"", b"hello", gzip.compress(b"", mtime=0), gzip.compress(b"hello" * 1000, mtime=0)]
)
def test_something_else_entirely_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match="not a backup"):
        unpack(tmp_path / "b.tar.gz", tmp_path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        unpack(tmp_path / "b.tar.gz", tmp_path)
