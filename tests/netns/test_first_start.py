"""`serve` without a configuration, what it tells systemd, and how it finds its interface."""

import json
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.netns.served import TIMEOUT, Box
from tests.room.namespaces import Namespace, Network, assert_nothing_left
from tests.room.processes import RoomError, tail, wait_until
from tests.room.room import appliance_command, host_mac

ADDRESS = "10.77.0.70"
DEFAULT = Path("/etc/netboot-appliance/config.toml")
# To the program it looks like a host of its own: /etc and /var/lib are writable and vanish with the process.
FRESH = """
mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" && rm -rf "$1/upper/netboot-appliance" &&
mount -t overlay none -o "lowerdir=/etc,upperdir=$1/upper,workdir=$1/work" /etc && rm -rf /etc/netboot-appliance &&
mount -t tmpfs none /var/lib && shift && exec "$@"
"""
# A server in which one task fails, as a bug would make it.
FAILING = """
import asyncio, sys
from appliance.server import daemon
from appliance.cli.main import run
async def confirm(box):
    await asyncio.sleep(0.5)
    raise RuntimeError("a mistake")
daemon._confirm = confirm
run()
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Namespace]:
    """A host with one interface and no default route."""
    with Network() as network:
        yield network.host("first", f"{ADDRESS}/24", host_mac(IPv4Address(ADDRESS)))
    assert_nothing_left(network.room)


class Fresh(Box):
    """A box on a host without configuration and data, with systemd's end of its socket."""

    def __init__(self, host: Namespace, directory: Path) -> None:
        super().__init__(host, DEFAULT, Path("/var/lib/netboot-appliance"), directory / "serve.log")
        self.told: list[str] = []
        self._directory = directory
        (directory / "overlay").mkdir()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._notify.bind(str(directory / "notify"))

    def begin(self, command: Sequence[str], **environment: str) -> None:
        """Start a command as systemd would."""
        variables = {"NOTIFY_SOCKET": str(self._directory / "notify"), **environment}
        assignments = [f"{name}={value}" for name, value in variables.items()]
        inside = ["unshare", "--mount", "sh", "-c", FRESH, "fresh", str(self._directory / "overlay"), *command]
        self.process = self.host.start("serve", ["env", *assignments, *inside], self.log)

    def beside(self, *command: str) -> CompletedProcess[str]:
        """Run a verb that sees what the server sees."""
        enter = ["nsenter", "--mount", "--target", str(self.pid), "--", appliance_command()]
        return self.host.run([*enter, *command], timeout=TIMEOUT, check=False)

    def write(self, text: str) -> None:
        """Put a configuration where the server looks for it."""
        path = Path(f"/proc/{self.pid}/root{DEFAULT}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def await_message(self, words: str) -> None:
        """Wait until systemd has been told this."""

        def arrived() -> bool:
            return any(words in message for message in self.listen())

        try:
            wait_until(arrived, TIMEOUT, f"{words!r} to be told", 0.05)
        except RoomError as error:
            raise RoomError(f"{error}; the log ends:\n{tail(self.log)}") from error

    def listen(self) -> list[str]:
        """What systemd has been told; call it now and then, so that the socket does not fill."""
        while True:
            try:
                self.told.append(self._notify.recv(65536).decode())
            except BlockingIOError:
                return self.told

    def ended(self) -> bool:
        """False while it runs; raises RoomError with the exit code when it has ended."""
        assert self.process
        self.process.require()
        return False

    def close(self) -> None:
        """End everything that runs."""
        if self.process is not None:
            self.process.stop()
        self._notify.close()


@pytest.fixture
def fresh(host: Namespace, tmp_path: Path) -> Iterator[Fresh]:
    box = Fresh(host, tmp_path)
    yield box
    box.close()


def listening(host: Namespace) -> str:
    return host.run(["ss", "-Hlntu"]).stdout


def test_without_a_configuration_it_serves_nobody_and_says_what_to_do(fresh: Fresh) -> None:
    fresh.begin([appliance_command(), "serve"])
    fresh.await_message("READY=1")
    assert f"{ADDRESS}:80 " in listening(fresh.host)
    fresh.await_message("STATUS=serves lan0; image none; nobody may boot yet; next: sudo netboot-appliance config init")
    said = fresh.said("there is no configuration file; the defaults are in force", 0)
    assert [line["do"] for line in said] == ["sudo netboot-appliance config init"]
    assert fresh.beside("allow", "list").stdout == "Nobody may boot: the allowlist is empty.\n"

    shown = fresh.beside("config", "show")
    assert shown.stderr == f"there is no configuration file {DEFAULT}; these are the defaults\n"
    assert json.loads(shown.stdout)["server"]["interfaces"] == []
    checked = fresh.beside("config", "check")
    assert checked.stdout.startswith(shown.stderr)
    assert f"serves    lan0, {ADDRESS}/24 (found" in checked.stdout

    # The package's own file sets nothing; `config init` may replace that file and no other.
    fresh.write("# [server]\n# interfaces = []\n")
    done = fresh.beside("config", "init")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"wrote {DEFAULT}"
    assert "reload" in done.stdout.splitlines()[-1]
    file = Path(f"/proc/{fresh.pid}/root{DEFAULT}")
    assert 'interfaces = ["lan0"]\n' in file.read_text()
    assert file.stat().st_mode & 0o007 == 0
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert fresh.beside("config", "init").returncode == 2

    since = fresh.mark()
    assert fresh.beside("reload").stdout == "configuration reloaded\n"
    fresh.await_message("STATUS=serves lan0; image none; nobody may boot yet; next: sudo netboot-appliance image build")
    assert not [line for line in fresh.lines(since) if line["level"] != "info"], "the interface is the one it has"


def test_a_rejected_reload_is_shown_everywhere(fresh: Fresh) -> None:
    fresh.begin([appliance_command(), "serve"])
    fresh.await_message("READY=1")
    fresh.await_message("STATUS=serves lan0")
    for broken, error in (
        ("[project]\nulr = 1\n", "unknown key 'ulr' in [project]"),
        ("[project\n", "not valid TOML"),
        ('[server]\nhttp_port = "x"\n', "write a whole number"),
        ('[server]\ninterfaces = ["lan7"]\n', "there is no interface lan7"),
    ):
        fresh.listen()
        fresh.told.clear()
        fresh.write(broken)
        done = fresh.beside("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: not reloaded, the old configuration stays: ")
        assert error in done.stderr
        assert "\nhint: " in done.stderr or 'http_port = "x"' in done.stderr
        # The same line again, followed by what is served, ends this reload.
        fresh.await_message("; serves lan0")
        assert any("reload REJECTED, the old" in message and error in message for message in fresh.told)
        assert fresh.told[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
        fresh.await_message("READY=1")
        shown = fresh.beside("status")
        assert shown.returncode == 0
        assert "reload    REJECTED" in shown.stdout
        assert error in json.loads(fresh.beside("status", "--json").stdout)["reload_rejected"]["error"]

    fresh.told.clear()
    fresh.write("")
    assert fresh.beside("reload").returncode == 0
    fresh.await_message("STATUS=serves lan0")
    assert not [message for message in fresh.told if "REJECTED" in message]
    assert json.loads(fresh.beside("status", "--json").stdout)["reload_rejected"] is None

    Path(f"/proc/{fresh.pid}/root{DEFAULT}").unlink()
    done = fresh.beside("reload")
    assert done.returncode == 1
    assert f"the configuration file {DEFAULT} is gone" in done.stderr

    fresh.write('[server]\nhttp_port = 8080\n[dhcp]\nmode = "off"\n')
    done = fresh.beside("reload")
    assert (done.returncode, done.stdout) == (1, "")
    assert "[server] and [dhcp] changed, which only a restart puts in force\nhint: systemctl restart" in done.stderr
    checked = fresh.beside("config", "check")
    assert "[server] and [dhcp] changed since the server was started, and only a restart" in checked.stderr
    assert f"{ADDRESS}:80 " in listening(fresh.host)


def all_stopped(pid: int) -> bool:
    """Whether each thread of a process is stopped: proc(5), stat."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads} == {"T"}


def test_it_feeds_the_watchdog_and_says_that_it_stops(fresh: Fresh) -> None:
    fresh.begin([appliance_command(), "serve"], WATCHDOG_USEC="300000")
    fresh.await_message("READY=1")
    fresh.told.clear()
    wait_until(lambda: fresh.listen().count("WATCHDOG=1") > 4, TIMEOUT, "signs of life", 0.05)
    assert fresh.process
    fresh.process.signal(signal.SIGSTOP)
    wait_until(lambda: all_stopped(fresh.pid), TIMEOUT, "all its threads to stand still", 0.02)
    fresh.listen()
    fresh.told.clear()
    with pytest.raises(RoomError):
        wait_until(lambda: bool(fresh.listen()), 1, "nothing", 0.1)
    fresh.process.signal(signal.SIGCONT)
    fresh.await_message("WATCHDOG=1")
    fresh.process.signal(signal.SIGTERM)
    fresh.await_message("STOPPING=1")
    with pytest.raises(RoomError, match="ended with exit code 0"):
        wait_until(fresh.ended, TIMEOUT, "it to end", 0.05)


def test_a_task_that_ends_takes_the_server_with_it(fresh: Fresh) -> None:
    fresh.begin([sys.executable, "-c", FAILING, "serve"])
    fresh.await_message("READY=1")
    with pytest.raises(RoomError, match="ended with exit code 1"):
        wait_until(fresh.ended, TIMEOUT, "it to end", 0.05)
    fresh.listen()
    assert "STOPPING=1" in fresh.told
    assert fresh.told[-1].startswith("STATUS=not running: the server cannot go on without its task 'confirm'")
    said = fresh.said("a task of the server has ended", 0, task="confirm")[0]
    assert "RuntimeError: a mistake" in said["exception"]
    assert fresh.said("draining", 0)
    assert "error: the server cannot go on without its task 'confirm'" in fresh.log.read_text()
    assert listening(fresh.host) == ""


@pytest.fixture
def second(host: Namespace) -> Iterator[None]:
    """A second interface for the length of a test."""
    host.ip("link", "add", "extra0", "type", "veth", "peer", "name", "extra1")
    host.ip("address", "add", "10.78.0.1/24", "dev", "extra0")
    host.ip("link", "set", "extra1", "up")
    host.ip("link", "set", "extra0", "up")
    yield
    host.ip("link", "del", "extra0")


def check(host: Namespace, tmp_path: Path) -> CompletedProcess[str]:
    """`config check` of a file that names no interface."""
    (tmp_path / "c.toml").write_text("[server]\n")
    return host.run([appliance_command(), "--config", str(tmp_path / "c.toml"), "config", "check"], check=False)


@pytest.mark.usefixtures("second")
def test_of_several_interfaces_the_one_with_the_default_route_is_found(host: Namespace, tmp_path: Path) -> None:
    done = check(host, tmp_path)
    assert done.returncode == 1
    assert "cannot tell which interface leads to the PCs: lan0, extra0" in done.stderr
    assert "config init --interface" in done.stderr
    host.ip("route", "add", "default", "via", "10.78.0.2", "dev", "extra0", "metric", "600")
    assert "serves    extra0, 10.78.0.1/24" in check(host, tmp_path).stdout
    host.ip("route", "add", "default", "via", "10.77.0.254", "dev", "lan0", "metric", "100")
    assert f"serves    lan0, {ADDRESS}/24" in check(host, tmp_path).stdout
    host.ip("route", "flush", "default")


def test_a_host_without_an_address_cannot_be_a_box_yet(host: Namespace, tmp_path: Path) -> None:
    host.ip("address", "del", f"{ADDRESS}/24", "dev", "lan0")
    try:
        done = check(host, tmp_path)
    finally:
        host.ip("address", "add", f"{ADDRESS}/24", "dev", "lan0")
    assert done.returncode == 1
    assert "no network interface has an IPv4 address" in done.stderr
