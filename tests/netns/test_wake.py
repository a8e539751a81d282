"""PCs are switched on over the network: the packets as they arrive on each cable and behind a router, who came, and a
control process that is killed meanwhile. The box is on two networks; a third one is behind a router."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.wake import requests
from appliance.wake.request import WakeResult
from services.ethernet import MacAddress
from services.wake_on_lan import PORT, magic_packet
from tests.fakes.dhcp_client import DISCOVER, firmware, message
from tests.netns.inside import Client
from tests.netns.offices import Office
from tests.netns.scripted_pc import Frame, FrameListener, ScriptedPc
from tests.netns.served import TIMEOUT, Box, install_release
from tests.room.namespaces import Namespace, Network
from tests.room.processes import wait_until
from tests.room.room import appliance_command, write_configuration

NEAR, SECOND, FAR = "10.91.0", "10.92.0", "10.93.0"
ROUTER = f"{NEAR}.254"
LOCKED = MacAddress.parse("52:54:00:78:01:01")
SETTINGS = """
[wake]
per_minute = 600
retry_every = 10
tries = 2
[[wake.passwords]]
for = ["52:54:00:78:01:*"]
password = "00:11:22:33:44:55"
"""


class WakingBox(Box):
    """The box, and what can be asked of it here."""

    @property
    def control(self) -> int | None:
        """The process id of the control process."""
        return holder(self.data / "registry" / "registry.sqlite3", "control")

    def tries(self, number: int) -> int:
        """How many packets of a request are counted."""
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            (found,) = requests.numbered(registry, [number])
        return found.tries

    def ask(self, target: object) -> int:
        """Ask for a PC; returns the number of the request."""
        (found,) = json.loads(self.verb("wake", str(target), "--json").stdout)
        return int(found["id"])

    def result(self, number: int) -> str:
        """How a request ended, once it has."""
        with Registry(self.data / "registry" / "registry.sqlite3") as registry:
            wait_until(lambda: requests.numbered(registry, [number])[0].ended is not None, TIMEOUT, "the end", 0.1)
            return str(requests.numbered(registry, [number])[0].result)


@pytest.fixture(scope="module")
def offices() -> Iterator[dict[str, Office]]:
    """The three networks."""
    with ExitStack() as stack:
        yield {prefix: Office(stack.enter_context(Network()), prefix) for prefix in (NEAR, SECOND, FAR)}


@pytest.fixture(scope="module")
def router(offices: dict[str, Office]) -> Namespace:
    """The router from the first to the last, which passes directed broadcasts on."""
    router = offices[NEAR].network.add("router")
    offices[NEAR].connect(router, "near", ROUTER)
    offices[FAR].connect(router, "far")
    for name in ("net.ipv4.ip_forward", "net.ipv4.conf.all.bc_forwarding", "net.ipv4.conf.near.bc_forwarding"):
        router.run(["sysctl", "-qw", f"{name}=1"])
    return router


@pytest.fixture(scope="module")
def box(offices: dict[str, Office], router: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WakingBox]:
    """The box on two of them."""
    directory = tmp_path_factory.mktemp("waking")
    with Network() as own:
        configuration = write_configuration(directory, SETTINGS, page=True)
        text = configuration.read_text().replace('["10.77.0.0/24"]', json.dumps([f"{each}.0/24" for each in offices]))
        configuration.write_text(text.replace('interfaces = ["lan0"]', 'interfaces = ["lan0", "lan1"]'))
        box = WakingBox(own.add("box"), configuration, directory / "data", directory / "serve.log")
        offices[NEAR].connect(box.host, "lan0")
        offices[SECOND].connect(box.host, "lan1")
        box.host.ip("route", "add", f"{FAR}.0/24", "via", ROUTER)
        box.forgiven = ["the exports are not in force; trying again"]
        install_release(box.data / "images")
        box.verb("allow", "add", "52:54:00:78:00:*", "--label", "room 12")
        box.verb("allow", "add", "52:54:00:78:01:*", "--label", "locked")
        box.start()
        wait_until(lambda: box.control is not None, TIMEOUT, "the control process")
        yield box
        assert box.complaints(0) == []


def magic(listener: FrameListener) -> list[tuple[Frame, bytes]]:
    """The magic packets that have arrived, waiting for the first one."""
    found: list[Frame] = []

    def heard() -> bool:
        found.extend(frame for frame in listener.heard() if frame.port == PORT)
        return bool(found)

    wait_until(heard, TIMEOUT, "a magic packet", 0.05)
    return [(frame, frame.payload) for frame in found]


@pytest.fixture
def sleepers(offices: dict[str, Office]) -> Iterator[dict[str, ScriptedPc]]:
    """A PC on each network: its card listens, and it has no address."""
    with ExitStack() as stack:
        yield {prefix: stack.enter_context(office.plug()) for prefix, office in offices.items()}


def starts(pc: ScriptedPc) -> None:
    """Its firmware asks for an address."""
    with pc.nic() as nic:
        nic.say(message(DISCOVER, nic.mac, firmware(0), xid=7, secs=0, flags=0x8000))


def starts_behind(router: Namespace, pc: ScriptedPc) -> None:
    """The same, as a relay on the router passes it on."""
    with Client(router, bytes(pc.mac), 67, "near") as relay:
        asked = message(DISCOVER, relay.mac, firmware(0), xid=8, giaddr=f"{FAR}.1")
        relay.say(asked, f"{NEAR}.1", 67)


def test_a_pc_of_which_nobody_knows_where_it_is_hears_it_on_every_network(
    box: WakingBox, sleepers: dict[str, ScriptedPc]
) -> None:
    pc = sleepers[NEAR]
    number = box.ask(pc.mac)
    for prefix, source in ((NEAR, f"{NEAR}.1"), (SECOND, f"{SECOND}.1"), (FAR, f"{NEAR}.1")):
        (frame, payload), *_ = magic(sleepers[prefix].frames)
        assert payload == magic_packet(pc.mac), prefix
        assert frame.source == source, prefix
    starts(pc)
    assert box.result(number) == WakeResult.CAME


def test_a_card_with_a_password_gets_it(box: WakingBox, sleepers: dict[str, ScriptedPc]) -> None:
    number = box.ask(LOCKED)
    (_, payload), *_ = magic(sleepers[SECOND].frames)
    assert payload == magic_packet(LOCKED, bytes.fromhex("001122334455"))
    assert "00:11:22:33:44:55" not in box.verb("config", "show").stdout
    box.verb("wake", "cancel", str(number))


def test_waiting_for_a_pc_behind_the_router_that_comes(
    box: WakingBox, sleepers: dict[str, ScriptedPc], router: Namespace, tmp_path: Path
) -> None:
    far = sleepers[FAR]
    command = [appliance_command(), "--config", str(box.configuration), "wake", str(far.mac), "--wait"]
    process = box.host.start("wake --wait", command, tmp_path / "wait.log")
    assert magic(far.frames)[0][1] == magic_packet(far.mac)
    starts_behind(router, far)
    wait_until(lambda: not process.running, TIMEOUT, "wake --wait to end")
    first, came, last = (tmp_path / "wait.log").read_text().splitlines()
    assert first == "waking 1 PC; Ctrl-C ends the waiting, and not the waking"
    assert came.startswith(f"{far.mac}  room 12  came after ")
    assert last == "1 of 1 PC is on"


def test_a_control_process_that_is_killed_goes_on(box: WakingBox, sleepers: dict[str, ScriptedPc]) -> None:
    pc = sleepers[SECOND]
    number = box.ask(pc.mac)
    magic(pc.frames)
    killed = box.control
    assert killed
    box.forgiven = [*box.forgiven, "the control process has ended"]
    os.kill(killed, signal.SIGKILL)
    assert len(magic(pc.frames)) == 1, "no storm: the second packet comes when it is due"
    assert box.control not in (None, killed), "serve has started another one"
    assert box.tries(number) == 2
    starts(pc)
    assert box.result(number) == WakeResult.CAME
