"""Backup while the box serves; restore, refused while it serves: then the box is as it was, and PCs continue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.journal.history import latest
from appliance.registry.database import Registry
from services.ethernet import MacAddress
from tests.fakes.boinc_project import ACCOUNT_KEY
from tests.netns.conftest import Plug
from tests.netns.served import Box

STRANGER = MacAddress.parse("52:54:00:88:00:07")


@pytest.fixture(autouse=True)
def as_before(box: Box) -> Iterator[None]:
    """Restores the allowlist and the configuration, whatever happened in the test."""
    with Registry(registry(box)) as opened:
        allowlist = opened.allowlist()
    text = box.configuration.read_text()
    yield
    box.configuration.write_text(text)
    with Registry(registry(box)) as opened:
        opened.replace_allowlist(opened.allowlist(), allowlist.entries)


def registry(box: Box) -> Path:
    return box.data / "registry" / "registry.sqlite3"


async def test_a_box_that_is_restored_serves_as_before(box: Box, plug: Plug, tmp_path: Path) -> None:
    known, late = plug(), plug()
    await known.run_ipxe()
    box.await_stage(known.mac, "script")
    allowed, text = box.verb("allow", "export").stdout, box.configuration.read_text()
    with Registry(registry(box)) as opened:
        password = opened.client(known.mac)
    file = tmp_path / "box.tar.gz"
    said = box.verb("backup", str(file)).stdout
    assert f"wrote {file}" in said
    assert "It contains the account key and the PCs' passwords" in said
    assert file.stat().st_mode & 0o777 == 0o600

    box.verb("allow", "add", str(STRANGER))
    script = await late.run_ipxe()
    assert late.get(script.kernel)
    box.await_stage(late.mac, "kernel")
    box.configuration.write_text(text.replace(ACCOUNT_KEY, "0123456789abcdef0123456789abcdef"))

    refused = box.verb("restore", str(file), check=False)
    assert refused.returncode == 1
    assert f"error: netboot-appliance serve is running (process {box.pid}); nothing was changed" in refused.stderr
    assert "hint: stop it first: systemctl stop netboot-appliance" in refused.stderr
    assert box.running
    dry = box.verb("restore", str(file), "--dry-run").stdout
    assert "would restore" in dry
    assert dry.endswith("nothing was changed\n")
    assert str(STRANGER) in box.verb("allow", "export").stdout

    assert box.process
    box.process.stop()
    said = box.verb("restore", str(file)).stdout
    assert f"restored {registry(box)}" in said
    box.start()
    assert box.verb("allow", "export").stdout == allowed
    assert box.configuration.read_text() == text
    with Registry(registry(box)) as opened:
        assert opened.client(known.mac) == password
        assert {boot.mac for boot in latest(opened)} >= {known.mac, late.mac}
    # A PC that was started after the backup keeps its mounts.
    box.await_exports({late.mac: {late.address}})
    assert late.report(script.token, "root-mounted") == 204
    assert (await known.run_ipxe()).kernel


async def test_a_server_does_not_start_on_a_damaged_registry(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "box.tar.gz"
    box.verb("backup", str(file))
    allowed = box.verb("allow", "export").stdout
    assert box.process
    box.process.stop()
    registry(box).write_bytes(b"nonsense" * 1000)
    done = box.verb("serve", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: the registry {registry(box)} is damaged: ")
    assert "hint: restore a backup: netboot-appliance restore FILE" in done.stderr
    assert "Traceback" not in done.stderr
    said = box.verb("restore", str(file)).stdout
    assert "restart the PCs that were started after the backup was made" in said
    box.start()
    assert box.verb("allow", "export").stdout == allowed
