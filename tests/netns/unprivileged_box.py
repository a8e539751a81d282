"""The server as an ordinary user and root's helper beside it, as under systemd. Loops stand in for the path units."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.exports.request import digest
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.ganesha import Ganesha
from tests.room.namespaces import Namespace
from tests.room.processes import Process, wait_until
from tests.room.room import Room, appliance_command

USER = 42731
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
BINDING = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service", "--bounding-set=-all,+net_bind_service"]

# Like a path unit: it notices that the file was replaced, but not while the service that it started runs.
_PATH_UNIT = """
last=
while sleep 0.02; do
    now=$(stat -c %i "$1" 2>/dev/null) || continue
    if [ "$now" != "$last" ]; then
        "$2" -I -m "$3"
        last=$(stat -c %i "$1" 2>/dev/null)
    fi
done
"""


class Unprivileged(Box):
    """`serve` as USER; its administrator's verbs run as root."""

    def __init__(self, room: Room, runtime: Path, log: Path) -> None:
        super().__init__(room.box, room.configuration, room.data, log)
        self.runtime = runtime
        self.answer_file = runtime.with_name(runtime.name + "-exports") / "result.json"

    def launch(self) -> Process:
        command = ["env", f"RUNTIME_DIRECTORY={self.runtime}", *AS_USER, *BINDING]
        command += [appliance_command(), "--config", str(self.configuration), "serve"]
        self.process = self.host.start("netboot-appliance serve", command, self.log)
        return self.process

    def await_told(self, backend: str, error: str) -> None:
        """Wait until `status` says that this backend has the exports in force, or shows this error."""

        def told() -> bool:
            exports = self.status()["exports"]
            if not exports or backend not in exports["backend"]:
                return False
            return error in exports["error"] if error else not exports["error"]

        wait_until(told, TIMEOUT, "status to tell of the exports")

    def take_over(self, content: bytes) -> dict[str, Any]:
        """Write a request as the server would, and return root's answer."""
        request = self.runtime / "exports.json"
        forged = request.with_name("forged")
        found: dict[str, Any] = {}

        def answered() -> bool:
            # Written again each time, as the server does: a request written while root's helper ends is missed.
            forged.write_bytes(content)
            os.chown(forged, USER, USER)
            forged.replace(request)
            time.sleep(0.5)
            found.update(json.loads(self.answer_file.read_bytes()))
            return bool(found["request"] == digest(content))

        wait_until(answered, TIMEOUT, "root's answer")
        return found


def start_root(
    host: Namespace, variables: list[str], request: Path, module: str, log: Path, capabilities: Sequence[str] = ()
) -> None:
    """Run a helper of root's for each request, with these capabilities and no others."""
    bounding = ",".join(["-all", *(f"+{each}" for each in capabilities)])
    loop = ["sh", "-c", _PATH_UNIT, "path", str(request), sys.executable, module]
    host.start(module, ["env", *variables, "setpriv", f"--bounding-set={bounding}", *loop], log)


@contextmanager
def open_office(allowed: str) -> Iterator[tuple[Room, Unprivileged]]:
    """A room whose box has NFS-Ganesha, root's helper, and an unprivileged server."""
    # Not a directory of pytest's: each pytest that starts closes them to other users.
    with tempfile.TemporaryDirectory(prefix="nba-unprivileged-") as place, Room(Path(place)) as room:
        directory = room.directory
        directory.chmod(0o755)
        room.configuration.chmod(0o644)
        runtime = directory / "run" / "box"
        for own in (room.data / "registry", room.data / "boot", runtime):
            own.mkdir(parents=True)
            os.chown(own, USER, USER)
        install_release(room.data / "images")
        room.appliance("allow", "add", allowed)
        ganesha = Ganesha(room.box.name, directory / "ganesha", directory / "ganesha" / "netboot-appliance.conf")
        ganesha.start()
        box = Unprivileged(room, runtime, room.logs / "serve.log")
        box.answer_file.parent.mkdir()
        # What its unit leaves to root, and what the unit that mounts for it has.
        capabilities = ["chown", "net_admin", "sys_admin", "dac_override", "fowner", "fsetid"]
        variables = [f"RUNTIME_DIRECTORY={box.answer_file.parent}", f"NETBOOT_APPLIANCE_CONFIG={box.configuration}"]
        request = box.runtime / "exports.json"
        start_root(room.box, variables, request, "appliance.exports.root_helper", room.logs / "root.log", capabilities)
        box.start()
        yield room, box
        assert box.complaints(0) == []
        ganesha.stop()
