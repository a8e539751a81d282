"""The files through which server and root talk, and what a compromised server could put in their place."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.errors import UserError
from appliance.exports import mailbox
from appliance.exports.mailbox import answer_file, directories, read_answer, read_request, request_file
from appliance.exports.request import LARGEST, ExportAnswer, encode_answer

pytestmark = pytest.mark.usefixtures("owners")

SERVER = 12345


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The server's directory, which belongs to its user."""
    path = tmp_path / "netboot-appliance"
    path.mkdir(mode=0o755)
    os.chown(path, SERVER, SERVER)
    return path


def put(path: Path, content: bytes = b"{}", owner: int = SERVER) -> Path:
    path.write_bytes(content)
    os.chown(path, owner, owner)
    return path


def test_each_finds_the_files_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path("/run/netboot-appliance")
    assert request_file(own) == Path("/run/netboot-appliance/exports.json")
    assert answer_file(own) == Path("/run/netboot-appliance-exports/result.json")
    monkeypatch.delenv(mailbox.ENVIRONMENT, raising=False)
    assert directories() == (own, Path("/run/netboot-appliance-exports"))
    monkeypatch.setenv(mailbox.ENVIRONMENT, "/tmp/x/box-exports")
    assert directories() == (Path("/tmp/x/box"), Path("/tmp/x/box-exports"))
    assert answer_file(Path("/tmp/x/box")).parent == Path("/tmp/x/box-exports")


def test_a_request_is_read(directory: Path) -> None:
    request = request_file(directory)
    assert read_request(request) is None, "none yet"
    assert read_request(directory / "none" / "exports.json") is None, "the server is off"
    put(request, b"content")
    assert read_request(request) == b"content"
    put(request, b"x" * LARGEST)
    assert read_request(request) == b"x" * LARGEST


def symlink(path: Path) -> None:
    path.symlink_to(put(path.with_name("real")))


def dangling(path: Path) -> None:
    path.symlink_to("/nonexistent")


def hard_link(path: Path) -> None:
    os.link(put(path.parent.parent / "secret", b"root's secret", 0), path)


def of_another(path: Path) -> None:
    put(path, owner=SERVER + 1)


def of_root(path: Path) -> None:
    put(path, owner=0)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))


def huge(path: Path) -> None:
    put(path)
    os.truncate(path, LARGEST + 1)


def endless(path: Path) -> None:
    put(path)
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    "trick",
    [symlink, dangling, hard_link, of_another, of_root, fifo, folder, listening, huge, endless],
)
def test_anything_else_in_its_place_is_refused(directory: Path, trick: Callable[[Path], None]) -> None:
    trick(request_file(directory))
    with pytest.raises(UserError, match="is refused") as caught:
        read_request(request_file(directory))
    assert caught.value.code == 1
    assert str(request_file(directory)) in caught.value.message
    assert "secret" not in caught.value.message


def test_a_device_is_refused() -> None:
    # Its owner owns the directory as well, and reading it would never end.
    with pytest.raises(UserError, match=r"is refused: .*zero is not a regular file"):
        read_request(Path("/dev/zero"))


def test_a_link_in_the_place_of_the_directory_is_refused(directory: Path) -> None:
    put(request_file(directory))
    link = directory.with_name("link")
    link.symlink_to(directory)
    with pytest.raises(UserError, match="is refused"):
        read_request(request_file(link))


def test_a_missing_or_invalid_answer_is_none(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert read_answer(path) is None
    path.write_bytes(b"{")
    assert read_answer(path) is None
    path.write_bytes(encode_answer(ExportAnswer("x", error="e", hint="h")))
    assert read_answer(path) == ExportAnswer("x", error="e", hint="h")
