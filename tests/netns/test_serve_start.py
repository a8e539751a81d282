"""What `serve` says when it cannot start: one message that names the culprit, and nothing left behind."""

import re
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.netns.served import Box
from tests.room.namespaces import Namespace
from tests.room.processes import Process, wait_until
from tests.room.room import Room, host_mac, write_configuration

ADDRESS = "10.77.0.50"

DNSMASQ = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--port=0"]
DNSMASQ += ["--log-facility=-", "--interface=lan0", "--bind-interfaces"]


@pytest.fixture(scope="module")
def host(room: Room) -> Namespace:
    """A second host that is to become a box."""
    return room.network.host("second", f"{ADDRESS}/24", host_mac(IPv4Address(ADDRESS)))


@pytest.fixture
def second(host: Namespace, tmp_path: Path) -> Iterator[Box]:
    """The box on it, not running; asserts afterwards that it left no socket."""
    box = Box(host, write_configuration(tmp_path), tmp_path / "data", tmp_path / "serve.log")
    yield box
    for process in host.processes:
        process.stop()
    assert listening(host) == ""


def listening(host: Namespace) -> str:
    """All listening sockets, one per line."""
    return host.run(["ss", "-Hlntu"]).stdout


def sockets(host: Namespace) -> list[tuple[str, str]]:
    """Protocol and address of each, without the lengths of their queues."""
    return sorted((line.split()[0], line.split()[4]) for line in listening(host).splitlines())


def hold(host: Namespace, command: list[str], port: int, log: Path) -> Process:
    """Start a program that takes a port, and wait until it has it."""
    process = host.start(command[0], command, log)
    wait_until(lambda: f":{port} " in listening(host), 30, f"{command[0]} to listen on {port}", 0.05)
    return process


def fail(box: Box) -> tuple[int, str, str]:
    """Start `serve`, which must fail; returns exit code, message and hint, and asserts that it printed nothing else."""
    before = sockets(box.host)
    done: CompletedProcess[str] = box.verb("serve", check=False)
    assert sockets(box.host) == before
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    # Log lines, in JSON, may come before.
    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    message, hint = said
    assert message.startswith("error: ")
    assert hint.startswith("hint: ")
    return done.returncode, message.removeprefix("error: "), hint.removeprefix("hint: ")


def test_a_dhcp_server_on_the_same_host_is_named(second: Box, tmp_path: Path) -> None:
    dnsmasq = [*DNSMASQ, "--dhcp-range=10.77.0.210,10.77.0.220", f"--dhcp-leasefile={tmp_path / 'leases'}"]
    holder = hold(second.host, dnsmasq, 67, tmp_path / "dnsmasq.log")
    code, message, hint = fail(second)
    assert code == 1
    assert message == f"cannot listen on UDP port 67 on 0.0.0.0: dnsmasq (process {holder.pid}) is using it"
    assert 'mode = "off"' in hint
    assert "netboot-appliance config dhcp dnsmasq" in hint


def test_another_tftp_server_is_named(second: Box, tmp_path: Path) -> None:
    dnsmasq = [*DNSMASQ, "--enable-tftp", f"--tftp-root={tmp_path}"]
    holder = hold(second.host, dnsmasq, 69, tmp_path / "dnsmasq.log")
    code, message, hint = fail(second)
    assert code == 1
    assert message == f"cannot listen on UDP port 69 on {ADDRESS}: dnsmasq (process {holder.pid}) is using it"
    assert "enable-tftp" in hint


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "http.server", "80"],
        [sys.executable, "-c", f"import http.server as h; h.test(port=80, bind='{ADDRESS}')"],
    ],
    ids=["on all addresses", "on ours"],
)
def test_another_web_server_is_named(second: Box, tmp_path: Path, command: list[str]) -> None:
    holder = hold(second.host, command, 80, tmp_path / "http.log")
    code, message, hint = fail(second)
    assert code == 1
    named = re.fullmatch(
        rf"cannot listen on TCP port 80 on {ADDRESS}: (\S+) \(process {holder.pid}\) is using it", message
    )
    assert named, message
    assert named[1].startswith("python")
    assert str(holder.pid) in hint


def test_a_second_server_on_the_same_data_is_refused(box: Box) -> None:
    code, message, hint = fail(box)
    assert (code, message) == (1, f"netboot-appliance serve is already running (process {box.pid})")
    assert f"kill {box.pid}" in hint
    assert box.status()["server"]["pid"] == box.pid


def test_a_second_box_on_the_same_host_is_named(box: Box, tmp_path: Path) -> None:
    other = Box(box.host, write_configuration(tmp_path), tmp_path / "data", tmp_path / "serve.log")
    code, message, hint = fail(other)
    assert code == 1
    assert message == f"cannot listen on UDP port 67 on 0.0.0.0: netboot-appliance (process {box.pid}) is using it"
    assert "already running" in hint
    assert box.running


@pytest.mark.parametrize("name", ["lan9", "lo:1", "bare0"])
def test_an_interface_that_cannot_be_used_is_named(second: Box, name: str) -> None:
    if name == "bare0":
        second.host.ip("link", "add", "bare0", "type", "veth", "peer", "name", "bare1")
    text = second.configuration.read_text()
    second.configuration.write_text(text.replace('["lan0"]', f'["lan0", "{name}"]'))
    code, message, hint = fail(second)
    assert code == 1, "at boot it may come up later, and systemd tries again"
    assert name in message
    assert "[server] interfaces" in message
    assert hint == "see the names with: ip -brief address"


def test_after_the_obstacle_is_gone_it_starts(second: Box, tmp_path: Path) -> None:
    holder = hold(second.host, [*DNSMASQ, "--enable-tftp", f"--tftp-root={tmp_path}"], 69, tmp_path / "dnsmasq.log")
    assert fail(second)[0] == 1
    holder.stop()
    second.start()
    assert {line.split()[4] for line in listening(second.host).splitlines()} == {
        "0.0.0.0%lan0:67",
        f"{ADDRESS}%lan0:4011",
        f"{ADDRESS}:69",
        f"{ADDRESS}:80",
    }
    said = second.said("nobody may boot yet", 0) + second.said("no image is active", 0)
    assert [line["do"] for line in said] == ["netboot-appliance allow add MAC", "netboot-appliance image build"]
