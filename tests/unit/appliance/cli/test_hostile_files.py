"""Whatever a file holds that a verb reads: one clear error or a right answer, and never a fault of ours.

Damaged, truncated, mutated and hostile files of every kind. What is random has a fixed seed.
"""

import gzip
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import tarfile
import tracemalloc
import unicodedata
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from appliance import allowlist
from appliance.backup import archive
from appliance.cli.main import app
from appliance.config import file as configuration
from appliance.doctor.probe import explain_capture
from appliance.errors import UserError
from image import release
from image.release import ReleaseError
from services.ethernet import MacAddress
from services.foreign_text import printable
from services.probe import ipxe_script
from tests.fakes.dhcp_client import DISCOVER, message
from tests.unit.appliance.cli.program import Run
from tests.unit.image.test_release import publish

PASSWORD = "hunter2-hunter2"
PC = "52:54:00:aa:bb:cc"
NUMBER = 0x525400AABBCC
RELEASE = "20261123-150102-1a2b3c4d"
CAPTURES = Path(__file__).parents[3] / "captures"
DEEP = "[" * 100_000
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def invoke(config: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The program in this process: thousands of runs take a minute instead of an hour."""
    done = CliRunner().invoke(app, ["--config", str(config), *arguments])
    match done.exception:
        case None | SystemExit():
            return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
        case UserError() as error:
            words = printable(f"error: {error.message}") + f"\nhint: {printable(error.hint)}\n"
            return subprocess.CompletedProcess(arguments, error.code, done.stdout, done.stderr + words)
        case error:
            raise error


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "c.toml").write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}/data"\n')
    return partial(invoke, tmp_path / "c.toml")


def fair(done: "subprocess.CompletedProcess[str]", *, works: bool | None = None) -> None:
    """It worked, or said in one error what is wrong; it told no secret and steered no terminal."""
    assert done.returncode in (0, 1, 2, 3), done
    assert PASSWORD not in done.stderr
    assert not {unicodedata.category(x) for x in (done.stdout + done.stderr).replace("\n", "")} & {"Cc", "Cf", "Cs"}
    if done.returncode == 2:
        assert done.stderr.splitlines()[0].startswith("error: "), done
    assert f"\n{done.stderr}".count("\nerror: ") <= 1
    if works is False:
        assert done.returncode in (1, 2), done
        assert done.stderr.startswith("error: "), done
        assert "\nhint: " in done.stderr, done


def mutants(content: bytes, count: int) -> Iterator[bytes]:
    """The content with bytes changed, cut out, doubled and cut off."""
    chance = random.Random(len(content))
    for _ in range(count):
        mutant = bytearray(content)
        for _ in range(chance.randrange(1, 9)):
            at = chance.randrange(len(mutant))
            match chance.randrange(4):
                case 0:
                    mutant[at] = chance.choice((0, 0x1B, 0x7F, 0x80, 0xFF, chance.randrange(256)))
                case 1:
                    del mutant[at : at + chance.randrange(1, 64)]
                case 2:
                    mutant[at:at] = mutant[at : at + 64]
                case _:
                    mutant[at : at + 4] = b"\xff" * 4
            if len(mutant) < 2:
                break
        yield bytes(mutant)


# The registry

VERBS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("status", "--json"),
    ("clients", "list"),
    ("clients", "show", PC),
    ("clients", "forget", PC),
    ("allow", "list"),
    ("allow", "check", PC),
    ("allow", "export"),
    ("allow", "add", "52:54:00:00:00:01"),
    ("leases", "list"),
    ("menu", "show", "--for", PC),
    ("boot", "next", PC, "local"),
    ("image", "prune", "--dry-run"),
    ("backup", "{}/b.tar.gz"),
)


@pytest.fixture
def data(run: Run, tmp_path: Path) -> Path:
    """The data directory of a box with a PC that has booted, a lease and what was learned of firmware."""
    publish(tmp_path / "data" / "images", RELEASE)
    assert run("image", "activate", RELEASE).returncode == 0
    assert run("allow", "add", PC, "--label", "desk 7").returncode == 0
    with closing(sqlite3.connect(tmp_path / "data" / "registry" / "registry.sqlite3")) as sql, sql:
        client = "INSERT INTO clients (number, mac, first_seen, gui_rpc_password) VALUES (1, ?, 1e9, ?)"
        sql.execute(client, (NUMBER, PASSWORD))
        boot = "INSERT INTO boots (id, mac, started, token, release, inherited, latest)"
        sql.execute(f"{boot} VALUES (1, ?, 1e9, 'token', '', '10.77.0.50', 1)", (NUMBER,))
        details = json.dumps({"mac": PC, "service": "http", "path": "vmlinuz", "sent": 1, "size": 9})
        sql.execute("INSERT INTO events (boot, at, kind, details) VALUES (1, 1e9, 'TransferProgressed', ?)", (details,))
        details = json.dumps({"mac": PC, "stage": "computing", "details": {"hostid": "7"}})
        sql.execute("INSERT INTO events (boot, at, kind, details) VALUES (1, 1e9, 'Reported', ?)", (details,))
        sql.execute("INSERT INTO ignored VALUES ('', 'x', 'dhcp', 'why', 1e9, 1e9, 1, '')")
        sql.execute("INSERT INTO leases VALUES (?, ?, x'01', 'leased', 9e9)", (0x0A4D0032, NUMBER))
        sql.execute("INSERT INTO adaptations VALUES (?, 'x', 'no-menu', 0, 'silent', 1e9)", (NUMBER,))
    return tmp_path / "data"


def registry(data: Path) -> Path:
    return data / "registry" / "registry.sqlite3"


def replace_registry(data: Path, content: bytes) -> None:
    for path in (data / "registry").iterdir():
        path.unlink()
    registry(data).write_bytes(content)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_box_of_these_tests_is_a_sound_one(run: Run, data: Path, verb: tuple[str, ...]) -> None:
    done = run(*(word.format(data) for word in verb))
    fair(done)
    assert done.returncode == (3 if verb[0] == "status" else 0), done


_BAD_TEXT = "CAST(x'68756e746572322d68756e74657232ff' AS TEXT)"  # PASSWORD, and a byte that is not UTF-8
_DAMAGE = {
    "a password that is not UTF-8": f"UPDATE clients SET gui_rpc_password = {_BAD_TEXT}",
    "a label that is not UTF-8": f"UPDATE allowed SET label = {_BAD_TEXT}",
    "an event that is not UTF-8": f"UPDATE events SET details = {_BAD_TEXT}",
    "a fact that is not UTF-8": f"INSERT INTO server VALUES ('reload', {_BAD_TEXT})",
    "a deeply nested event": f"UPDATE events SET details = '{DEEP}'",
    "a deeply nested fact": f"INSERT INTO server VALUES ('reload', '{DEEP}')",
    "an event that is no object": "UPDATE events SET details = '7'",
    "an event that is no JSON": "UPDATE events SET details = '{'",
    "an event without its fields": "UPDATE events SET details = '{}'",
    "a transfer backwards": "UPDATE events SET details = replace(details, '\"sent\": 1', '\"sent\": -1')",
    "a size that is text": 'UPDATE events SET details = replace(details, \'"size": 9\', \'"size": "9"\')',
    "a size without end": "UPDATE events SET details = replace(details, '\"size\": 9', '\"size\": 1e999')",
    "details that are a list": "UPDATE events SET details = replace(details, '{\"hostid\": \"7\"}', '[]')",
    "a MAC address that is text": "UPDATE boots SET mac = 'x'",
    "a MAC address that is too large": "UPDATE clients SET mac = 1 << 60",
    "a negative MAC address": "UPDATE boots SET mac = -1",
    "a PC that is a blob": "UPDATE boots SET release = x'00ff'",
    "a time without end": "UPDATE boots SET started = 9e999",
    "a time in the far future": "UPDATE boots SET started = 1e18",
    "a time that is text": "UPDATE clients SET first_seen = 'soon'",
    "an address that is none": "UPDATE boots SET inherited = '10.77.0.999'",
    "a range that runs backwards": "UPDATE allowed SET first = last + 1",
    "a range that is text": "UPDATE allowed SET last = 'x'",
    "a timeout that is text": "UPDATE allowed SET timeout = 'x'",
    "a lease of no address": "UPDATE leases SET address = 1 << 40",
    "a lease in no state": "UPDATE leases SET state = 'x'",
    "a client id that is text": "UPDATE leases SET client_id = 'x'",
    "a refusal counted in text": "UPDATE ignored SET count = 'x'",
    "a next boot of nobody": "INSERT INTO next_boots VALUES (-1, 'local', NULL)",
    "a reload that is a list": "INSERT INTO server VALUES ('reload', '[1]')",
    "a reload at no time": """INSERT INTO server VALUES ('reload', '{"begun": 1.0, "at": "x"}')""",
    "services that are a number": "INSERT INTO server VALUES ('services', '7')",
    "no table of clients": "DROP TABLE clients",
    "no table of events": "DROP TABLE events",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON allowed BEGIN DELETE FROM clients; END",
    "a view in the place of a table": "DROP TABLE ignored; CREATE VIEW ignored AS SELECT 1",
    "a negative schema": "PRAGMA user_version = -5",
    "a newer schema": "PRAGMA user_version = 999",
    "an older schema": "PRAGMA user_version = 1",
}


def damage(data: Path, statements: str) -> None:
    with closing(sqlite3.connect(registry(data))) as sql:
        sql.executescript(statements)


@pytest.mark.parametrize("statements", _DAMAGE.values(), ids=_DAMAGE)
def test_a_damaged_registry(run: Run, data: Path, statements: str) -> None:
    damage(data, statements)
    failed = []
    for verb in VERBS:
        done = run(*(word.format(data) for word in verb))
        fair(done)
        failed.append(done.returncode in (1, 2))
        if failed[-1]:
            fair(done, works=False)
    assert any(failed), "no verb noticed"


@pytest.mark.parametrize("statements", _DAMAGE.values(), ids=_DAMAGE)
def test_a_backup_of_a_damaged_registry_is_not_restored(run: Run, data: Path, tmp_path: Path, statements: str) -> None:
    file = tmp_path / "b.tar.gz"
    assert run("backup", str(file)).returncode == 0
    damage(data, statements)
    repack(file, {archive.REGISTRY: sealed(registry(data))})
    shutil.rmtree(data)
    done = run("restore", str(file))
    if "INTO server" in statements and "68756e" not in statements:
        # What a server wrote about itself is not restored.
        assert done.returncode == 0
        fair(run("status"))
    else:
        fair(done, works=False)
        assert "nothing was changed" in done.stderr
        assert not registry(data).exists()


def sealed(path: Path) -> bytes:
    """The registry as one file."""
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


def test_a_mutated_registry(run: Run, data: Path) -> None:
    sound = sealed(registry(data))
    for number, mutant in enumerate(mutants(sound, 60)):
        replace_registry(data, mutant)
        fair(run(*(word.format(data) for word in VERBS[number % (len(VERBS) - 1)])))


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0", os.urandom(5000), b"\0" * 9000], ids=len)
def test_a_registry_that_is_none(run: Run, data: Path, content: bytes) -> None:
    for verb in VERBS[:-1]:
        replace_registry(data, content)
        fair(run(*verb))


def test_a_registry_that_is_a_directory_or_a_pipe(run: Run, data: Path) -> None:
    for make in (Path.mkdir, os.mkfifo):
        shutil.rmtree(data)
        registry(data).parent.mkdir(parents=True)
        make(registry(data))
        for verb in VERBS[:-1]:
            fair(run(*verb), works=False)


# Backups


def members(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def repack(file: Path, changed: dict[str, bytes]) -> None:
    contents = members(file) | changed
    with tarfile.open(file, "w:gz") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def backup(run: Run, data: Path, tmp_path: Path) -> Path:
    assert run("backup", str(tmp_path / "b.tar.gz")).returncode == 0
    return tmp_path / "b.tar.gz"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (archive.MANIFEST, DEEP.encode()[:60_000]),
        (archive.MANIFEST, b"{}"),
        (archive.MANIFEST, b"\xff"),
        (archive.MANIFEST, b'{"format": 1' + b"0" * 5000 + b"}"),
        (archive.CONFIG, b"a = " + DEEP.encode()),
        (archive.CONFIG, b"a = " + b"9" * 9000),
        (archive.CONFIG, b"\xff"),
        (archive.CONFIG, b'[nfs]\nexports_file = "\\u0000"\n'),
        (archive.REGISTRY, b"\0" * 100_000),
        ("other", b""),
        ("../escape", b"x"),
        ("/etc/escape", b"x"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_a_backup_with_other_content(run: Run, backup: Path, name: str, content: bytes) -> None:
    repack(backup, {name: content})
    fair(run("restore", str(backup), "--dry-run"), works=False)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_backup_with_a_link_or_a_device(run: Run, backup: Path, kind: bytes) -> None:
    with tarfile.open(backup, "w:gz") as tar:
        info = tarfile.TarInfo(archive.REGISTRY)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    fair(run("restore", str(backup), "--dry-run"), works=False)


def bomb(path: Path, *, header: bytes, megabytes: int) -> None:
    """A small file that unpacks to `header` and so many megabytes of zeros."""
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(megabytes):
            file.write(bytes(1 << 20))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_backup_whose_headers_are_a_bomb_takes_no_memory(run: Run, tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 400 << 20
    bomb(tmp_path / "b.tar.gz", header=info.tobuf(tarfile.GNU_FORMAT), megabytes=400)
    tracemalloc.start()
    try:
        done = run("restore", str(tmp_path / "b.tar.gz"), "--dry-run")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    fair(done, works=False)
    assert "does not belong in it" in done.stderr


def test_a_backup_that_goes_on_behind_its_end(run: Run, backup: Path) -> None:
    bomb(backup, header=gzip.decompress(backup.read_bytes()), megabytes=100)
    done = run("restore", str(backup), "--dry-run")
    fair(done, works=False)
    assert "something follows its last file" in done.stderr


def test_a_mutated_backup(run: Run, backup: Path) -> None:
    packed = backup.read_bytes()
    plain = gzip.decompress(packed)
    for mutant in (*mutants(packed, 20), *(gzip.compress(each, 1) for each in mutants(plain, 40))):
        backup.write_bytes(mutant)
        fair(run("restore", str(backup), "--dry-run"))


# Configuration, allowlist, releases


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + DEEP.encode(),
        b"a = " + b"{a=" * 50_000,
        b"[" + b"a." * 3000 + b"a]",
        b"a = " + b"9" * 9000,
        b"[server]\nhttp_port = " + b"9" * 300,
        b"[server]\nhttp_port = nan\n",
        b"[server]\ndata = 1979-05-27\n",
        b"[server]\ninterfaces = [[]]\n",
        b'[server]\ninterfaces = ["\\u001b]0;x\\u0007\\n"]\n',
        b'[server]\ndata = "/\\u0000"\n',
        b'[nfs]\nexports_file = "\\u0000"\nbackend = "kernel"\n',
        b'[nfs]\nnetworks = ["10.0.0.0/99999999999999999999"]\n',
        b'[boot]\ndirectory = "\\u0000"\n',
        b"[menu]\ntimeout = -9223372036854775808\n",
        b"[boinc.preferences]\nram_max_used_busy_pct = inf\n",
        b'[project]\nurl = "http://["\naccount_key = "x"\n',
        b'[project]\nurl = "http://\\u2100/"\naccount_key = "x"\n',
        b"\xff\xfe",
        b"\0",
        b"x" * (2 << 20),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_hostile_configuration(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    for verb in (("config", "check"), ("config", "show"), ("allow", "list"), ("menu", "show"), ("exports", "show")):
        fair(invoke(tmp_path / "c.toml", *verb), works=None if verb[0] == "config" else False)
    assert invoke(tmp_path / "c.toml", "config", "check").returncode in (1, 2)


def test_a_configuration_without_end() -> None:
    fair(invoke(Path("/dev/zero"), "config", "check"), works=False)


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"\0", b"52:54:00:aa:bb:cc \x1b[2J\n", b"52:54:00:*/" + b"9" * 9000, b"x" * 5_000_000, b"\r" * 99],
)
def test_a_hostile_list_of_addresses(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "macs").write_bytes(content)
    done = run("allow", "import", str(tmp_path / "macs"))
    fair(done)
    assert run("allow", "export").stdout == ""


_ODD_MANIFESTS = {
    "nested": DEEP.encode(),
    "no object": b"7",
    "endless size": b'{"vmlinuz": {"size": Infinity, "sha256": "x"}}',
}


@pytest.mark.parametrize(
    "change",
    [
        {"created": "0001-01-01T00:00:00+23:59"},
        {"created": 7},
        {"kernel": "\x1b]0;x\x07"},
        {"files": {"\0": {"size": 1, "sha256": ""}}},
        {"files": {"../../../../etc/passwd": {"size": 1, "sha256": ""}}},
        {"files": {"/etc/passwd": {"size": 1, "sha256": ""}}},
        {"files": {"vmlinuz": {"size": float("inf"), "sha256": ""}}},
        {"files": []},
        {"recipe": {"packages": 7}},
        {"recipe": {"packages": [], "distribution": ["x"]}},
        {"recipe": None},
        {"id": "x" * 100_000},
        {"digest": DEEP[:20_000]},
    ],
    ids=lambda change: repr(change)[:50],
)
def test_a_hostile_manifest(run: Run, tmp_path: Path, change: dict[str, object]) -> None:
    publish(tmp_path / "data" / "images", RELEASE)
    assert run("image", "activate", RELEASE).returncode == 0
    path = tmp_path / "data" / "images" / RELEASE / release.MANIFEST
    manifest = json.loads(path.read_text())
    if isinstance(files := change.get("files"), dict):
        change = {"files": manifest["files"] | files}
    path.chmod(0o644)
    path.write_text(json.dumps(manifest | change))
    verbs = ("image list", "image show", f"image activate {RELEASE}", "image rollback", "image prune", "status")
    for verb in (each.split() for each in verbs):
        fair(run(*verb))
    if "kernel" not in change and "digest" not in change:
        fair(run("image", "show"), works=False)


def test_a_mutated_manifest(run: Run, tmp_path: Path) -> None:
    publish(tmp_path / "data" / "images", RELEASE)
    path = tmp_path / "data" / "images" / RELEASE / release.MANIFEST
    path.chmod(0o644)
    sound = path.read_bytes()
    for mutant in (*mutants(sound, 200), DEEP.encode(), b"7"):
        path.write_bytes(mutant)
        with suppress(ReleaseError):
            release.read(tmp_path / "data" / "images", RELEASE)


# Captures


def frame(payload: bytes, *, source: int = 67, port: int = 68) -> bytes:
    udp = source.to_bytes(2, "big") + port.to_bytes(2, "big") + (8 + len(payload)).to_bytes(2, "big") + b"\0\0"
    total = (28 + len(payload)).to_bytes(2, "big")
    ip = b"\x45\0" + total + b"\0\0\0\0\x40\x11\0\0" + bytes([10, 77, 0, 9]) + b"\xff" * 4
    return b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x08\0" + ip + udp + payload


def capture(*frames: bytes) -> bytes:
    header = b"\xd4\xc3\xb2\xa1\x02\0\x04\0" + bytes(8) + (65535).to_bytes(4, "little") + (1).to_bytes(4, "little")
    sizes = (len(each).to_bytes(4, "little") * 2 for each in frames)
    return header + b"".join(bytes(8) + size + each for size, each in zip(sizes, frames, strict=True))


ASKED = message(
    DISCOVER, bytes(MacAddress.parse(PC)), [(60, b"PXEClient:Arch:00007:UNDI:003016"), (93, b"\0\7")], xid=7
)


def offer(boot_file: bytes) -> bytes:
    """A server's OFFER that names this boot file, to the PC that asks in ASKED."""
    header = bytearray(ASKED[:240])
    header[0], header[16:20] = 2, bytes([10, 77, 0, 50])
    options = b"\x35\x01\x02" + b"\x36\x04\x0a\x4d\0\x09" + b"\x43" + bytes([len(boot_file)])
    return bytes(header) + options + boot_file + b"\xff"


@pytest.mark.parametrize(
    "boot_file",
    [
        b"http://[",
        b"http://[::1",
        b"http://\x1b]0;x\x07/",
        b"http://\xe2\x84\x80.example/",
        b"http://a:99999/x",
        b"://",
    ],
)
def test_a_capture_with_a_boot_file_that_is_no_url(tmp_path: Path, boot_file: bytes) -> None:
    asked = message(
        DISCOVER, MacAddress.parse(PC).__bytes__(), [(60, b"PXEClient:Arch:00007:UNDI:003016"), (93, b"\0\7")], xid=7
    )
    (tmp_path / "a.pcap").write_bytes(capture(frame(asked, source=68, port=67), frame(offer(boot_file))))
    done = invoke(tmp_path, "doctor", "pcap", str(tmp_path / "a.pcap"))
    fair(done)
    assert done.returncode == 1
    assert "OFFER from 10.77.0.9: address 10.77.0.50, boot file " in done.stdout
    json.loads(invoke(tmp_path, "doctor", "pcap", str(tmp_path / "a.pcap"), "--json").stdout)


@pytest.mark.parametrize("line", ["kernel http://[", "initrd http://[::1/x", "kernel \u2100//x"])
def test_a_script_with_urls_that_are_none(line: str) -> None:
    assert ipxe_script.files(f"#!ipxe\n{line}\n", "http://10.77.0.1/boot/x/boot.ipxe")


def test_mutated_captures(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    for sound in sorted(CAPTURES.glob("*.pcap*")):
        for mutant in mutants(sound.read_bytes()[:20_000], 12):
            file.write_bytes(mutant)
            with suppress(UserError):
                explain_capture(file)


_SHB = b"\x0a\x0d\x0d\x0a" + (28).to_bytes(4, "little") + b"\x4d\x3c\x2b\x1a\1\0\0\0" + b"\xff" * 8 + b"\x1c\0\0\0"


@QUICK
@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, 5, 6, 10, 0x80000001]), st.binary(max_size=80)), max_size=5))
def test_hostile_pcapng_blocks(tmp_path: Path, blocks: list[tuple[int, bytes]]) -> None:
    content = _SHB
    for kind, body in blocks:
        padded = body + bytes(-len(body) % 4)
        size = (len(padded) + 12).to_bytes(4, "little")
        content += kind.to_bytes(4, "little") + size + padded + size
    (tmp_path / "a.pcapng").write_bytes(content)
    with pytest.raises(UserError) as error:
        explain_capture(tmp_path / "a.pcapng")
    assert error.value.hint


def test_a_capture_that_is_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.probe.capture.MAX_BYTES", 10_000)
    with gzip.open(tmp_path / "a.pcap", "wb") as file:
        file.write(capture(*[bytes(1000)] * 20))
    with pytest.raises(UserError, match="more than 10,000 bytes"):
        explain_capture(tmp_path / "a.pcap")


# What the functions behind the verbs make of anything


@QUICK
@given(st.binary(max_size=400))
def test_any_bytes_as_a_configuration(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.toml").write_bytes(content)
    with suppress(UserError):
        configuration.load(tmp_path / "c.toml")


_VALUES = st.recursive(
    st.one_of(
        st.text(max_size=9),
        st.integers(-(1 << 63), (1 << 63) - 1),
        st.floats(),
        st.booleans(),
        st.sampled_from(["10.77.0.0/24", "10.77.0.1", "http://[", "/x", "nfs", "\0", "local"]),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
_KEYS = {
    "server": ["interfaces", "data", "http_port"],
    "dhcp": ["mode", "unknown", "force", "pool", "router", "dns", "domain", "lease_time"],
    "boot": ["directory", "loaders"],
    "menu": ["entries", "default", "timeout", "locked", "password", "grub_password", "title"],
    "nfs": ["networks", "backend", "exports_file", "ganesha_config", "ganesha_pid_file"],
    "project": ["url", "account_key"],
    "boinc": ["management_hosts", "preferences"],
    "image": ["packages", "kernel", "distribution", "root", "kernel_arguments", "firmware"],
}
_SETTINGS = st.sampled_from([(section, key) for section, keys in _KEYS.items() for key in keys])


@QUICK
@given(st.lists(st.tuples(_SETTINGS, _VALUES), min_size=1, max_size=3))
def test_any_value_of_any_setting(tmp_path: Path, chosen: list[tuple[tuple[str, str], object]]) -> None:
    text = "".join(f"{section}.{key} = {_toml(value)}\n" for (section, key), value in chosen)
    with suppress(UserError):
        configuration.redacted(configuration.parse(text, tmp_path / "c.toml"))


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf").replace("\\ud", "\\u0")


@QUICK
@given(st.one_of(st.text(max_size=200), st.from_regex(r"(?:52[:-]54[:-]00[:*/0-9a-f-]{0,12} ?[ -~]{0,9}\n){1,3}")))
def test_any_text_as_a_list_of_addresses(text: str) -> None:
    with suppress(UserError):
        entries = allowlist.parse(text, "list")
        assert allowlist.parse(allowlist.render(entries), "list") == entries
