"""The box as a process: start it, read its log, and run verbs beside it, as an administrator does."""

import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from appliance.journal.history import latest_of
from appliance.registry.database import Registry
from image import bootfiles, release
from image.names import DEFAULT
from image.recipe import ImageRecipe
from services.ethernet import MacAddress
from tests.room.namespaces import Namespace
from tests.room.processes import Process, RoomError, tail, wait_until
from tests.room.room import appliance_command

TIMEOUT = 90.0
"""Seconds to wait for what must happen; far more than it takes, since the machine is busy with other tests."""

_FILES = {release.KERNEL: 3 << 20, release.INITRD: (5 << 20) + 1, release.SQUASHFS: 4096, release.PACKAGES: 100}


def install_release(
    images: Path,
    sizes: Mapping[str, int] = _FILES,
    loaders: Mapping[str, bytes] | None = None,
    image: str = DEFAULT,
) -> release.Release:
    """Make and activate a release of an image, of random bytes with files of these sizes, and with the boot loaders of
    this machine, or these; nothing here looks inside them."""
    digest = secrets.token_hex(32)
    created = datetime.now(UTC).replace(microsecond=0)
    path = images / release.name(created, digest)
    for name, size in sizes.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(os.urandom(size))
    boot = path / bootfiles.DIRECTORY
    boot.mkdir()
    if loaders is None:
        for name, loader in bootfiles.packaged(Path("/")).items():
            (boot / name).symlink_to(loader)
    for name, content in (loaders or {}).items():
        (boot / name).write_bytes(content)
    names = (*sizes, *(f"{bootfiles.DIRECTORY}/{loader.name}" for loader in boot.iterdir()))
    files = {name: release.describe(path / name) for name in names}
    made = release.Release(path, created, ImageRecipe(), digest, "6.1.0-0-amd64", files, image=image)
    (path / release.MANIFEST).write_bytes(release.render_manifest(made))
    return release.activate(images, made.id)


class Box:
    """`netboot-appliance` on one host with one configuration."""

    def __init__(self, host: Namespace, configuration: Path, data: Path, log: Path) -> None:
        self.host = host
        host.mounting = True
        self.configuration = configuration
        self.data = data
        self.log = log
        self.process: Process | None = None
        self.forgiven: list[str] = []
        """Errors that a test provokes: how their log lines begin."""

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self.process is not None and self.process.running

    def launch(self) -> Process:
        """Start `serve` and return at once."""
        command = [appliance_command(), "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def start(self) -> None:
        """Start `serve` and return when it serves."""
        since = self.mark()
        self.launch()
        self.wait_for("serving", since)

    def verb(self, *arguments: str, check: bool = True) -> CompletedProcess[str]:
        """Run a verb beside the server."""
        command = [appliance_command(), "--config", str(self.configuration), *arguments]
        return self.host.run(command, timeout=TIMEOUT, check=check)

    def status(self) -> Any:
        """What `status --json` says."""
        return json.loads(self.verb("status", "--json").stdout)

    def boot(self, mac: object) -> Any:
        """The latest boot of a PC as `status --json` shows it, or None."""
        return next((boot for boot in self.status()["boots"] if boot["mac"] == str(mac)), None)

    def stages(self, mac: object) -> list[str]:
        """The stages that a PC's latest boot has reached, in order; cheaper than a verb."""
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            boot = latest_of(registry, MacAddress.parse(str(mac)))
        return [str(reached.stage) for reached in boot.reached] if boot else []

    def await_stage(self, mac: object, stage: str) -> Any:
        """The latest boot of a PC as `status --json` shows it, once it has come to `stage`."""
        wait_until(lambda: stage in self.stages(mac), TIMEOUT, f"{mac} to reach {stage!r}", 0.05)
        return self.boot(mac)

    def await_ignored(self, expected: dict[tuple[str, str, str], int]) -> None:
        """Wait until `status` counts exactly these refusals, by client, service and reason, for the clients in them."""
        names = {client for client, _, _ in expected}
        found: dict[tuple[str, str, str], int] = {}

        def counted() -> bool:
            with Registry(self.data / "registry" / "registry.sqlite3") as registry:
                rows = [row for row in registry.ignored() if row.client in names]
            found.clear()
            found.update({(row.client, row.service, row.reason): row.count for row in rows})
            return sum(found.values()) >= sum(expected.values())

        with contextlib.suppress(RoomError):  # the comparison below says more
            wait_until(counted, TIMEOUT, "refusals to be counted", 0.05)
        assert found == expected

    def refusals(self) -> dict[tuple[str, str, str], int]:
        """How often each client was refused, by client, service and reason."""
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            return {(row.client, row.service, row.reason): row.count for row in registry.ignored()}

    def exported(self) -> dict[str, tuple[str, set[str]]]:
        """What `exports show` prints, once it prints what NFS-Ganesha was told: for each path RO or RW, and to which
        addresses. The verb reads the registry, which follows within a second."""
        shown: list[str] = []

        def shows_what_is_in_force() -> bool:
            shown.append(self.verb("exports", "show").stdout)
            return shown[-1] == self._in_force.read_text()

        wait_until(shows_what_is_in_force, TIMEOUT, "`exports show` to print what is in force", 0.1)
        text = shown[-1]
        assert "*" not in text
        found: dict[str, tuple[str, set[str]]] = {}
        for block in text.split("EXPORT {")[1:]:
            path, squash = re.search(r'Path = "(.*)"', block), re.search(r"Squash = (\w+);", block)
            client = re.search(r"CLIENT \{\s+Clients = (.*);\s+Access_Type = (\w+);", block)
            assert path
            assert client
            assert squash
            assert squash[1] == "All_Squash"
            found[path[1]] = (client[2], set(client[1].split(", ")))
        return found

    @property
    def _in_force(self) -> Path:
        return self.configuration.parent / "ganesha" / "netboot-appliance.conf"

    def in_force(self, mac: MacAddress) -> set[str]:
        """The addresses to which NFS-Ganesha was told to export a PC's own directory."""
        text = self._in_force.read_text()
        block = text.partition(f'Path = "{self.data}/state/{mac.bare}";')[2].partition("EXPORT {")[0]
        return set(block.partition("Clients = ")[2].partition(";")[0].split(", ")) if block else set()

    def await_exports(self, expected: dict[MacAddress, set[str]]) -> None:
        """Wait until each PC's own directory is exported to these addresses and to no other."""
        wanted = {str(mac): addresses for mac, addresses in expected.items()}
        with contextlib.suppress(RoomError):  # the comparison below says more
            wait_until(lambda: all(self.in_force(m) == e for m, e in expected.items()), TIMEOUT, "exports", 0.05)
        assert {str(mac): self.in_force(mac) for mac in expected} == wanted

    def mark(self) -> int:
        """The current end of the log."""
        return self.log.stat().st_size if self.log.exists() else 0

    def lines(self, since: int = 0) -> list[dict[str, Any]]:
        """The log's lines after the mark `since`; a line that is not JSON as {"event": "not JSON"}."""
        text = self.log.read_bytes()[since:].decode("utf-8", "replace")
        found = []
        for line in text.splitlines(keepends=True):
            try:
                found.append(json.loads(line))
            except ValueError:
                if line.endswith("\n"):
                    found.append({"event": "not JSON", "level": "error", "line": line})
        return found

    def said(self, event: str, since: int, **fields: Any) -> list[dict[str, Any]]:
        """The log's lines of one event, with these fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.lines(since) if wanted.items() <= line.items()]

    def wait_for(self, event: str, since: int, **fields: Any) -> dict[str, Any]:
        """Wait for such a line in the log; returns the first."""

        def found() -> bool:
            if self.said(event, since, **fields):
                return True
            if self.process is not None:
                self.process.require()
            return False

        wait_until(found, TIMEOUT, f"{event!r} {fields} in {self.log}, which ends:\n{tail(self.log, 5)}", 0.02)
        return self.said(event, since, **fields)[0]

    def complaints(self, since: int) -> list[dict[str, Any]]:
        """Errors in the log that no test provoked."""
        errors = [line for line in self.lines(since) if line.get("level") in ("error", "critical")]
        return [line for line in errors if not line["event"].startswith(tuple(self.forgiven))]
