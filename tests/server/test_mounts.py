"""The PCs' file systems on a server with real systemd: root's helper asks in its sandbox, and the host sees them."""

import json
import secrets
from collections.abc import Iterator

import pytest

from appliance.exports.work_desk import encode
from appliance.root_requests.answer import RootAnswer, decode_answer, digest
from services.ethernet import MacAddress
from tests.room.processes import wait_until
from tests.server.container import Container
from tests.server.program import DATA, add_loop_devices
from tests.server.server_room import PACKAGE
from tests.server.test_exports import ask, exported

UNIT = "netboot-appliance-mounts.service"
RUN = "/run/netboot-appliance"
ASKED = f"{RUN}-control/work.json"
AS_CONTROL = ("setpriv", "--reuid=netboot-appliance", "--regid=netboot-appliance", "--clear-groups")
MOST_EXPOSED = 2.0


@pytest.fixture
def server(installed: Container) -> Iterator[Container]:
    """With loop devices, as a real server has them, and with our server stopped: the test makes the requests."""
    installed.run("systemctl stop netboot-appliance; exportfs -ua; rm -f /etc/exports.d/*; : >/etc/exports")
    installed.run("ln -sf /bin/true /usr/local/sbin/modprobe")
    add_loop_devices(installed)
    yield installed
    installed.run("netboot-appliance exports withdraw; rm -f /usr/local/sbin/modprobe", check=False)


def mounted(server: Container) -> dict[str, str]:
    """The options of what is mounted below `state`, as PID 1 sees it, by the name of the directory."""
    lines = server.run("findmnt --raw --noheadings --output TARGET,OPTIONS --types ext4", check=False).stdout
    return {path.rpartition("/")[2]: options for path, options in map(str.split, lines.splitlines()) if "state" in path}


def test_root_mounts_what_it_exports_where_everybody_sees_it(server: Container) -> None:
    assert ask(server, 3) == "kernel 4"
    assert set(mounted(server)) == {"000000000001", "000000000002", "000000000003"}
    assert {"nosuid", "nodev", "noexec"} <= set(mounted(server)["000000000001"].split(","))
    assert server.run(f"stat -c '%u %g %a' {DATA}/state/000000000001").stdout == "731 731 700\n"
    options = exported(server)[f"10.77.0.1/32:{DATA}/state/000000000001"].split(",")
    assert "mountpoint" in options
    assert "subtree_check" in exported(server)[f"10.77.0.1/32:{DATA}/images"].split(",")
    server.run(f"echo work >{DATA}/state/000000000003/client_state.xml")
    # The second and third PC lose their exports.
    assert ask(server, 1) == "kernel 2"
    assert set(mounted(server)) == {"000000000001"}
    assert server.run(f"ls {DATA}/state/000000000003").stdout == ""
    assert ask(server, 3) == "kernel 4"
    assert server.run(f"cat {DATA}/state/000000000003/client_state.xml").stdout == "work\n"


def test_all_is_mounted_before_an_nfs_server_starts(server: Container) -> None:
    assert ask(server, 2) == "kernel 3"
    # As after a power cut.
    server.run(f"umount {DATA}/state/*", check=False)
    assert not mounted(server)
    server.run(["systemctl", "start", UNIT])
    assert {"000000000001", "000000000002"} <= set(mounted(server))
    assert server.run(["systemctl", "is-enabled", UNIT]).stdout == "enabled\n"
    before = server.run(["systemctl", "show", "--property=Before", UNIT]).stdout
    assert "nfs-server.service" in before
    assert "nfs-ganesha.service" in before


def test_what_pcs_left_in_plain_directories_moves_into_their_file_systems(server: Container) -> None:
    work = f"{DATA}/state/000000000009/slots/0"
    server.run(
        f"install -d -m 711 {DATA}/state; mkdir -p {work}; cp -a /etc {work}; ln {work}/etc/hostname {work}/hard"
    )
    server.run(f"chown -R 731:731 {DATA}/state/000000000009; chmod 700 {DATA}/state/000000000009")
    listing = (
        f"cd {DATA}/state/000000000009 && find . -printf '%p %y %m %u %g %T@ %l %n\\n' | sort;"
        " find . -type f | sort | xargs -d '\\n' sha256sum"
    )
    before = server.run(listing).stdout
    assert ask(server, 9) == "kernel 10"
    assert "000000000009" in mounted(server)
    assert server.run(listing).stdout == before
    assert server.run(f"ls -A {DATA}/state").stdout.split() == [f"{n:012x}" for n in range(1, 10)]


def test_the_page_has_work_set_aside_and_a_timer_deletes_it(server: Container) -> None:
    """The test plays the control process; the units are the real ones, in their sandboxes."""
    volumes = f"{DATA}/volumes"

    def request(number: int) -> None:
        content = encode(MacAddress(number), secrets.token_hex(8)).decode()
        server.run([*AS_CONTROL, "sh", "-c", f"printf %s '{content}' >{RUN}-control/new; mv {RUN}-control/new {ASKED}"])

    def answer() -> RootAnswer:
        content = server.run(f"cat {RUN}-work-request/result.json", check=False).stdout.encode()
        asked = server.run(f"cat {ASKED}").stdout.encode()
        found = decode_answer(content) if content else RootAnswer("")
        return found if found.request == digest(asked) else RootAnswer("")

    assert ask(server, 3) == "kernel 4"
    for number in (1, 2):
        server.run(f"echo work >{DATA}/state/00000000000{number}/client_state.xml")
    assert ask(server, 1) == "kernel 2"
    request(2)
    wait_until(lambda: answer().final, 120, "root to refuse")
    assert "the work of 00:00:00:00:00:02 was used" in answer().error

    server.run(f"touch -d '1 hour ago' {volumes}/000000000002.img")
    request(2)
    wait_until(lambda: answer().final, 120, "root to set it aside")
    assert "its work is kept until" in answer().done
    (kept,) = json.loads(server.run("netboot-appliance clients kept --json").stdout)
    assert kept["mac"] == "00:00:00:00:00:02"
    # The page and the notices know of it, and may not look where it is.
    listed = server.run(f"runuser -u netboot-appliance -- cat {DATA}/state/.forgotten.json").stdout
    assert [each["mac"] for each in json.loads(listed)] == ["00:00:00:00:00:02"]

    # Exported and mounted: it is moved when both have ended.
    server.run(f"touch -d '1 hour ago' {DATA}/state/000000000001")
    request(1)
    wait_until(lambda: answer().request != "", 120, "root to accept it")
    assert answer() == RootAnswer(answer().request)
    ask(server, 0)
    wait_until(lambda: answer().final, 120, "root to set it aside")
    assert "its work is kept until" in answer().done
    assert not mounted(server)

    server.run("netboot-appliance clients restore 00:00:00:00:00:01")
    assert ask(server, 1) == "kernel 2"
    assert server.run(f"cat {DATA}/state/000000000001/client_state.xml").stdout == "work\n"

    old = f"{volumes}/.kept-000000000002-1000000000"
    server.run(f"mv {volumes}/.kept-000000000002-* {old}; mkdir -p {DATA}/state/.kept-000000000002-1000000000/slots")
    server.run(f"chown -R 731:731 {DATA}/state/.kept-000000000002-1000000000")
    server.run(f"chmod 700 {DATA}/state/.kept-000000000002-1000000000")
    assert server.run("systemctl is-active netboot-appliance-purge.timer").stdout == "active\n"
    server.run("systemctl start netboot-appliance-purge")
    assert ".kept" not in server.run(f"ls -A {volumes} {DATA}/state").stdout
    assert server.run(f"cat {DATA}/state/000000000001/client_state.xml").stdout == "work\n"


@pytest.mark.parametrize("unit", ["work-request", "purge"])
def test_what_moves_and_deletes_work_can_do_little_else(server: Container, unit: str) -> None:
    name = f"netboot-appliance-{unit}.service"
    last = server.run(f"systemd-analyze --no-pager security {name}").stdout.splitlines()[-1]
    assert float(last.partition(": ")[2].split()[0]) <= MOST_EXPOSED, last
    verified = server.run(["systemd-analyze", "verify", f"/lib/systemd/system/{name}"])
    assert verified.stdout + verified.stderr == ""


def test_root_helper_still_has_only_the_privileges_it_needs(server: Container) -> None:
    show = ["systemctl", "show", "--value", "--property=CapabilityBoundingSet"]
    assert server.run([*show, "netboot-appliance-exports.service"]).stdout == "cap_chown cap_net_admin\n"
    assert "cap_sys_admin" in server.run([*show, UNIT]).stdout
    assert "cap_net_admin" not in server.run([*show, UNIT]).stdout
    verified = server.run(["systemd-analyze", "verify", f"/lib/systemd/system/{UNIT}"])
    assert verified.stdout + verified.stderr == ""


def test_removing_the_package_unmounts_the_work_and_keeps_it(server: Container) -> None:
    assert ask(server, 2) == "kernel 3"
    work = f"{DATA}/state/000000000001/client_state.xml"
    server.run(f"echo work >{work}; cp {work} {DATA}/state/000000000002/")
    server.run("apt-get remove -y netboot-appliance", timeout=300)
    assert not mounted(server)
    assert server.run(f"ls -A {DATA}/state/000000000001").stdout == ""
    server.run(f"apt-get install -y {PACKAGE}; systemctl stop netboot-appliance", timeout=600)
    assert ask(server, 2) == "kernel 3"
    assert server.run(f"cat {work}").stdout == "work\n"
    server.run("echo netboot-appliance netboot-appliance/remove-data boolean true | debconf-set-selections")
    server.run("apt-get purge -y netboot-appliance", timeout=300)
    assert not mounted(server)
    assert not server.path(DATA).exists()
