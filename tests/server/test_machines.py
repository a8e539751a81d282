"""The test machines themselves: what a server test relies on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.room.namespaces import leftovers
from tests.room.processes import wait_until
from tests.room.room import CHECKOUT
from tests.server.container import Container
from tests.server.server_room import PACKAGE

HOLD = """\
import sys, time
from pathlib import Path
from tests.server.container import Container
with Container(*map(Path, sys.argv[1:])) as container:
    print(container.network.room, flush=True)
    time.sleep(600)
"""


def test_a_container_is_a_server_with_systemd_an_address_and_the_package(container: Container) -> None:
    assert container.run("cat /proc/1/comm").stdout.strip() == "systemd"
    assert "10.77.0.1/24" in container.run(["ip", "-4", "address", "show", "lan0"]).stdout
    assert "netboot-appliance" in container.run(["dpkg-deb", "--field", PACKAGE, "Package"]).stdout
    assert container.run("exit 3", check=False).returncode == 3
    container.run("echo changed >/etc/motd")
    assert container.path("/etc/motd").read_text() == "changed\n"


def test_a_new_container_has_nothing_of_the_one_before(container: Container) -> None:
    assert container.path("/etc/motd").read_text() != "changed\n"


def test_a_container_ends_with_its_process_whatever_ends_that(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(root), str(tmp_path), str(tmp_path)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        room = process.stdout.readline().strip()
        assert leftovers(room)
        os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not [each for each in leftovers(room) if each.startswith("process")], 60, "its processes to end")
    with Container(root, tmp_path, tmp_path):
        pass
    assert leftovers(room) == []
    assert not list(tmp_path.glob("nbaroom-*"))
