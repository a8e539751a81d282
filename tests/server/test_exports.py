"""Exports on a server with real systemd and the real exportfs: who asks, who does it, and which exports are ours.

The kernel of a container has no NFS server, but exportfs keeps its table anyway. That a PC can mount is tested in
test_story.py.
"""

import json
from collections.abc import Iterator

import pytest

from tests.room.processes import wait_until
from tests.server.container import Container
from tests.server.program import DATA, HOME
from tests.server.suites import ON_DEBIAN_13

pytestmark = ON_DEBIAN_13

PYTHON = (f"{HOME}/bin/python3", "-I", "-c")
UNIT = "netboot-appliance-exports"
ETAB = "/var/lib/nfs/etab"

# Applies exports as root, without a request: images and the state of the PCs 1 to N at 10.77.1.1 to N.
APPLY = """
import sys
from ipaddress import IPv4Address
from services.nfs.apply import apply
from services.nfs.backend import Backend
from services.nfs.exports import Export, render_kernel
pcs = {number: IPv4Address("10.77.1.0") + number for number in map(int, sys.argv[2:])}
images, state = "/srv/box/images", "/srv/box/state"
exports = [Export(images, tuple(pcs.values()), False, int(sys.argv[1]), 65534, 1)]
exports += [Export(f"{state}/{n:012x}", (a,), True, 731, 731, 1 + n) for n, a in pcs.items()]
print(apply(Backend.KERNEL, render_kernel(exports), roots=(images, state)))
"""

# Requests as the server does: each argument is a number of PCs; all but the last request are overtaken by the next.
ASK = """
import asyncio, sys, time
from ipaddress import IPv4Address
from pathlib import Path
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.server.export_task import choose_installer
from appliance.exports.grants import ExportGrant
from services.ethernet import MacAddress
async def main():
    installer, stale = choose_installer(), asyncio.Event()
    stale.set()
    for index, count in enumerate(map(int, sys.argv[1:])):
        numbers = range(1, count + 1)
        grants = [ExportGrant(MacAddress(n), n, (IPv4Address("10.77.0.0") + n,)) for n in numbers]
        last = index == len(sys.argv) - 2
        try:
            answer = await installer.install(Config(Path("/")), (), grants, asyncio.Event() if last else stale)
            if last:
                print(answer.backend, answer.directories, answer.left_out)
        except UserError as error:
            print(error.message)
asyncio.run(main())
"""


@pytest.fixture
def server(installed: Container) -> Iterator[Container]:
    """With nothing exported, and with our server stopped: the test makes the requests."""
    installed.run("systemctl stop netboot-appliance; exportfs -ua; rm -f /etc/exports.d/*; : >/etc/exports")
    # Nothing resolves names: a lookup would take seconds.
    installed.run("echo nameserver 10.77.0.99 >/etc/resolv.conf; mkdir -p /srv/box/images /srv/other")
    # This kernel has no nfsd; the program asks modprobe whether it could be loaded.
    installed.run("ln -sf /bin/true /usr/local/sbin/modprobe; install -d -m 711 /srv/box/state")
    yield installed
    installed.run(f"rm -f /usr/local/sbin/modprobe; systemctl reset-failed {UNIT}.service", check=False)


def exported(server: Container) -> dict[str, str]:
    """The real table: options by "CLIENT:PATH"."""
    found = {}
    for line in server.path(ETAB).read_text().splitlines():
        path, _, rest = line.partition("\t")
        client, _, options = rest.partition("(")
        found[f"{client}:{path}"] = options
    return found


def apply(server: Container, *pcs: int, uid: int = 65534) -> str:
    server.run(["mkdir", "-p", *(f"/srv/box/state/{number:012x}" for number in pcs), "/srv/box/state"])
    return server.run([*PYTHON, APPLY, str(uid), *map(str, pcs)], timeout=120).stdout.strip()


def ours(*pcs: int) -> set[str]:
    roots = {f"10.77.1.{number}/32:/srv/box/images" for number in pcs}
    return roots | {f"10.77.1.{number}/32:/srv/box/state/{number:012x}" for number in pcs}


def test_exportfs_exports_what_we_want_and_keeps_the_exports_of_others(server: Container) -> None:
    server.run("echo '/srv/other 10.77.0.0/24(ro,sync,no_subtree_check)' >/etc/exports; exportfs -ra")
    # Exported by hand, also from our own directories: in no file.
    server.run("exportfs -i -o rw,sync,no_subtree_check 10.99.0.0/24:/srv/other 10.99.0.0/24:/srv/box/images")
    others = exported(server)
    assert len(others) == 3
    assert apply(server, 1, 2, 3) == "True"
    assert set(exported(server)) == set(others) | ours(1, 2, 3)
    assert "anonuid=731" in exported(server)["10.77.1.1/32:/srv/box/state/000000000001"]
    assert exported(server)["10.77.1.1/32:/srv/box/images"].startswith("ro,")
    before = server.path(ETAB).stat()
    assert apply(server, 1, 2, 3) == "False"
    assert server.path(ETAB).stat().st_mtime_ns == before.st_mtime_ns, "and exportfs is left alone"
    apply(server, 2, 4)
    assert set(exported(server)) == set(others) | ours(2, 4)
    apply(server, 2, 4, uid=65533)
    assert "anonuid=65533" in exported(server)["10.77.1.2/32:/srv/box/images"]
    assert "anonuid=731" in exported(server)["10.77.1.2/32:/srv/box/state/000000000002"]
    assert {key: options for key, options in exported(server).items() if key in others} == others


def test_an_nfs_server_restores_our_exports_when_it_starts(server: Container) -> None:
    # None has run yet.
    server.run(f"rm -f {ETAB}")
    apply(server, 1, 2)
    mine = exported(server)
    assert set(mine) == ours(1, 2)
    # What nfs-server.service does on stop and on start.
    server.run("exportfs -au; exportfs -r")
    assert exported(server) == mine
    server.run("exportfs -au")
    apply(server, 1, 2)
    assert exported(server) == mine


def test_a_rooms_exports_are_withdrawn_without_dns(server: Container) -> None:
    """Without /32, exportfs would look up every other address, and no resolver answers here."""
    pcs = range(1, 201)
    apply(server, *pcs)
    apply(server, *pcs[:100])
    assert set(exported(server)) == ours(*pcs[:100])


def test_the_units_are_clean(server: Container) -> None:
    done = server.run(
        ["systemd-analyze", "verify", *(f"/lib/systemd/system/{UNIT}.{kind}" for kind in ("path", "service"))]
    )
    assert done.stdout + done.stderr == ""


def ask(server: Container, *counts: int) -> str:
    """Ask root's helper as the server's user, and return its last answer."""
    command = ["systemd-run", "--quiet", "--wait", "--pipe", "--property=User=netboot-appliance"]
    command += ["--property=RuntimeDirectory=netboot-appliance", *PYTHON, ASK, *map(str, counts)]
    return server.run(command).stdout.strip()


def test_root_does_what_the_server_requests_through_the_path_unit(server: Container) -> None:
    assert ask(server, 3) == "kernel 4"
    table = exported(server)
    assert table["10.77.0.3/32:/var/lib/netboot-appliance/state/000000000003"].startswith("rw,")
    assert f"127.0.0.1/32:{DATA}/images" in table, "for the doctor"
    assert len(table) == 7
    state = f"{DATA}/state"
    assert server.run(f"stat -c '%u %a' {state} {state}/000000000003").stdout.split("\n")[:2] == ["0 711", "731 700"]
    # Requests 50 ms apart overtake each other: the last one counts, whatever systemd missed.
    assert ask(server, *range(30, 0, -1)) == "kernel 2"
    assert len(exported(server)) == 3
    assert server.run(["systemctl", "is-active", f"{UNIT}.path"]).stdout.strip() == "active"


def test_an_excessive_request_is_refused_and_logged(server: Container) -> None:
    assert ask(server, 2) == "kernel 3"
    before = exported(server)
    # 10.77.0.255: the broadcast address of lan0's network, which is all that is configured.
    assert "has the address 10.77.0.255, which cannot belong to a machine in 10.77.0.0/24" in ask(server, 255)
    assert exported(server) == before
    answer = json.loads(server.run(["cat", f"/run/{UNIT}/result.json"]).stdout)
    assert "10.77.0.255" in answer["error"]
    assert "10.77.0.255" in server.said(f"{UNIT}.service")
    assert server.run(["systemctl", "is-active", f"{UNIT}.path"]).stdout.strip() == "active", "the next one is heard"
    assert ask(server, 1) == "kernel 2"


@pytest.mark.parametrize("trap", ["ln -s {0} {0}", "mkfifo {0}", "mkdir {0}", "ln -s /etc/hostname {0}"])
def test_a_trap_in_the_place_of_a_request_ends_nothing(server: Container, trap: str) -> None:
    """As the server, taken over, could set it."""
    assert ask(server, 1) == "kernel 2"
    request = "/run/netboot-appliance/exports.json"

    def refused() -> int:
        return server.said(f"{UNIT}.service").count("the server's request is refused: ")

    before = refused()
    server.run("install -d -o netboot-appliance -g netboot-appliance /run/netboot-appliance")
    user = ["setpriv", "--reuid=netboot-appliance", "--regid=netboot-appliance", "--clear-groups"]

    def trapped() -> bool:
        # systemd does not look while the helper runs, as it does after the request that was removed: set it again.
        server.run([*user, "sh", "-c", f"rm -rf {request}; {trap.format(request)}"])
        return refused() > before

    wait_until(trapped, 120, "root's helper to refuse it", interval=5.0)
    server.run("rm -rf /run/netboot-appliance")
    assert server.run(["systemctl", "is-active", f"{UNIT}.path"]).stdout.strip() == "active"
    assert ask(server, 2) == "kernel 3"


def test_roots_part_has_only_the_privileges_it_needs(server: Container) -> None:
    shown = server.run(
        ["systemctl", "show", "--property=CapabilityBoundingSet,ProtectSystem", f"{UNIT}.service"]
    ).stdout
    assert "CapabilityBoundingSet=cap_chown cap_net_admin\n" in shown
    assert "ProtectSystem=strict" in shown
