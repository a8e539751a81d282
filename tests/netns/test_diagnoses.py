"""PCs that fail in the room: what `status`, `clients show` and `doctor` say of each, in the same words.

What takes minutes of silence is looked at with a clock that is ahead: the same registry, read as the verbs read it.
"""

import asyncio
import time
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.diagnosis.fault import Diagnosis
from appliance.doctor import boots
from appliance.doctor.finding import Finding, Severity
from appliance.journal.history import latest_of
from appliance.journal.timeline import Boot
from appliance.registry.database import Registry
from appliance.view.clients import details
from appliance.view.facts import gather_client
from services.decision import Reason
from services.ethernet import MacAddress
from tests.fakes.dhcp_client import firmware
from tests.netns.conftest import Plug
from tests.netns.scripted_pc import IPXE, BootScript, ScriptedPc
from tests.netns.served import TIMEOUT, Box
from tests.room.processes import wait_until

LATER = 200.0
"""Seconds after which a PC that says nothing has failed."""

REPLIES = Path(__file__).parents[1] / "unit" / "services" / "boinc" / "replies"
# Firmware that no other test uses: what the box learns of it here would be tried on other PCs.
SECURE = firmware(7, undi="003097")


class FailedPc:
    """What the box says of one PC, by each verb."""

    def __init__(self, box: Box, pc: ScriptedPc) -> None:
        self.box, self.mac = box, str(pc.mac)

    def await_diagnosis(self, cause: str, cure: str, severity: Severity = Severity.WARNING) -> Diagnosis:
        """The diagnosis as soon as it begins with `cause`: of the verbs, which must agree."""
        wait_until(lambda: self._status().cause.startswith(cause), TIMEOUT, f"{cause!r} to be said", 0.1)
        found = self._status()
        shown, status = self.box.verb("clients", "show", self.mac).stdout, self.box.verb("status").stdout
        assert f"             {found.words}\n             do: {found.cure}\n" in shown
        # What is as it was asked for is not among what is wrong.
        wrong = severity is Severity.WARNING
        assert (f"{found.cause}: " in status) == wrong
        assert not wrong or f"  do: {found.cure}\n" in status
        self._check(found, cause, cure, self._doctor(0.0), severity)
        return found

    def later(self, cause: str, cure: str) -> Diagnosis:
        """The diagnosis LATER seconds from now; until then there is none."""
        assert self._seen(0.0) is None
        found = self._seen(LATER)
        assert found
        self._check(found, cause, cure, self._doctor(LATER), Severity.WARNING)
        return found

    def known(self) -> Boot | None:
        """The PC's latest boot in the registry, which is written a moment after things happen."""
        with Registry(load(self.box.configuration).registry) as registry:
            return latest_of(registry, MacAddress.parse(self.mac))

    def await_sign(self, name: str) -> None:
        """Wait until the registry knows this of the boot."""
        wait_until(lambda: bool(getattr(self.known(), name, None)), TIMEOUT, f"{name} of {self.mac}", 0.1)

    def _check(self, found: Diagnosis, cause: str, cure: str, said: list[Finding], severity: Severity) -> None:
        assert found.cause.startswith(cause)
        assert cure in found.cure
        finding = next(each for each in said if each.what.startswith(f"{found.cause}: "))
        assert (finding.severity, finding.what_to_do) == (severity, found.cure)

    def _status(self) -> Diagnosis:
        boot = self.box.boot(self.mac) or {}
        return Diagnosis(**(boot.get("diagnosis") or {"cause": "", "cure": ""}))

    def _seen(self, ahead: float) -> Diagnosis | None:
        config, now = load(self.box.configuration), time.time() + ahead
        with Registry(config.registry) as registry:
            shown = details(gather_client(config, registry, MacAddress.parse(self.mac), now), now)
        assert shown.client.boot
        return shown.client.boot.diagnosis

    def _doctor(self, ahead: float) -> list[Finding]:
        config, now = load(self.box.configuration), time.time() + ahead
        return [*boots.look(config, "boots", now), *boots.look(config, "computing", now)]


async def loaded(pc: ScriptedPc) -> BootScript:
    """A boot up to kernel and ramdisk."""
    script = await pc.run_ipxe()
    pc.load_image(script)
    return script


async def up(box: Box, pc: ScriptedPc) -> BootScript:
    """A boot that computes."""
    script = await loaded(pc)
    for stage in ("initrd", "root-mounted", "reported", "attached", "computing"):
        assert pc.report(script.token, stage) == 204
    box.await_stage(pc.mac, "computing")
    return script


def beat(pc: ScriptedPc, script: BootScript, replies: str = "computing", clock: float = 0.0, state: str = "ok") -> None:
    head = f"uptime=4000\nboinc=running\nstate_directory={state}\nclock={time.time() + clock:.0f}\n\n"
    assert pc.heartbeat(script.token, head.encode() + (REPLIES / f"{replies}.xml").read_bytes()) == 200


async def test_secure_boot_refuses_what_is_offered(box: Box, plug: Plug) -> None:
    pc = plug()
    for _ in range(3):
        offer = (await pc.power_on(SECURE))[pc.box]
        await pc.load(offer.file, 1468, windowsize=4)
        box.await_stage(pc.mac, "loader")
    await pc.power_on(SECURE)
    FailedPc(box, pc).await_diagnosis("Security Violation: ", "Secure Boot")


async def test_the_kernel_stops_on_its_way(box: Box, plug: Plug) -> None:
    pc = plug()
    script = await pc.run_ipxe()
    with pc.connect() as connection:
        path = script.kernel.removeprefix(f"http://{pc.box}")
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {pc.box}\r\n\r\n".encode())
        assert len(connection.recv(94_000))
    found = FailedPc(box, pc).await_diagnosis("vmlinuz stopped on its way: the loader's network driver", "another card")
    assert found.detail.endswith(" of 3,146 kB")


async def test_a_dock_shows_the_firmware_another_mac(box: Box, plug: Plug) -> None:
    pc, card = plug(), plug()
    script = await loaded(pc)
    await card.power_on([], alone=True)
    with pytest.raises(ConnectionError):
        card.http(pc.path(f"{script.token}/report"), {"stage": "initrd"})
    box.await_ignored({(str(pc.mac), "http", Reason.MAC_MISMATCH.value): 1})
    found = FailedPc(box, pc).await_diagnosis("its live system uses another network card", "pass-through off")
    assert found.detail == f"the card found is {card.mac}"


@pytest.mark.parametrize(
    ("reason", "cause", "cure"),
    [
        ("state directory refused: access denied by server", "its state directory is refused by NFS", "exports apply"),
        ("512 MB of usable memory; an HTTP root needs 900 MB", "too little memory for an HTTP root", "--root nfs"),
        ("the BOINC files could not be fetched", "it does not get its BOINC files", "restart the PC"),
    ],
)
async def test_what_the_live_system_reports(box: Box, plug: Plug, reason: str, cause: str, cure: str) -> None:
    pc = plug()
    script = await loaded(pc)
    assert pc.report(script.token, "failed", reason=reason) == 204
    assert FailedPc(box, pc).await_diagnosis(cause, cure).detail == reason


async def test_the_project_refuses_the_key(box: Box, plug: Plug) -> None:
    pc = plug()
    beat(pc, await up(box, pc), "refused")
    FailedPc(box, pc).await_diagnosis("the project refuses the account key", "current weak key")


async def test_the_state_directory_is_full(box: Box, plug: Plug) -> None:
    pc = plug()
    beat(pc, await up(box, pc), state="full")
    FailedPc(box, pc).await_diagnosis("its state directory is full", "state_limit")


async def test_the_clock_is_wrong(box: Box, plug: Plug) -> None:
    pc = plug()
    beat(pc, await up(box, pc), clock=-365 * 86400)
    assert FailedPc(box, pc).await_diagnosis("its clock is wrong", "NTP").detail == "behind by 365 d"


async def test_suspended_by_the_preferences_is_a_note(box: Box, plug: Plug) -> None:
    pc = plug()
    beat(pc, await up(box, pc), "suspended")
    FailedPc(box, pc).await_diagnosis("BOINC is suspended: ", "[boinc.preferences]", Severity.NOTE)


async def test_a_pc_that_is_switched_off_is_no_longer_well(box: Box, plug: Plug) -> None:
    pc = plug()
    beat(pc, await up(box, pc))
    wait_until(lambda: box.boot(pc.mac)["now"]["kind"] == "computing", TIMEOUT, "its heartbeat to be seen", 0.1)
    FailedPc(box, pc).later("sends no heartbeat any more: switched off", "cable")


async def test_a_kernel_that_never_comes_back(box: Box, plug: Plug) -> None:
    pc = plug()
    await loaded(pc)
    box.await_stage(pc.mac, "initrd")
    FailedPc(box, pc).later("took kernel and initrd, and never came back: no driver", "[image] backports = true")


async def test_a_root_that_is_not_given(box: Box, plug: Plug) -> None:
    pc = plug()
    script = await loaded(pc)
    assert pc.report(script.token, "initrd") == 204
    FailedPc(box, pc).await_sign("ramdisk_spoke")
    FailedPc(box, pc).later("root refused by NFS: its ramdisk runs, and waits", "exports apply")


async def test_a_loader_that_gets_no_address(box: Box, plug: Plug) -> None:
    pc = plug()
    offer = (await pc.power_on(firmware(0)))[pc.box]
    await pc.load(offer.file, 1468)
    box.await_stage(pc.mac, "loader")
    FailedPc(box, pc).later("took the boot loader and asked for nothing more: iPXE got no address", "portfast")


async def test_ipxe_that_gets_an_offer_and_no_script(box: Box, plug: Plug) -> None:
    pc = plug()
    offer = (await pc.power_on(firmware(0)))[pc.box]
    await pc.load(offer.file, 1468)
    box.await_stage(pc.mac, "loader")
    await pc.power_on(firmware(0, *IPXE))
    FailedPc(box, pc).await_sign("ipxe_asked")
    FailedPc(box, pc).later("iPXE was started and did not ask for its script", "TCP port 80")


async def ask_twice(pc: ScriptedPc) -> None:
    """Firmware asks for seconds; what asked only for a moment may be made up."""
    await pc.power_on(firmware(0))
    await asyncio.sleep(1.0)
    await pc.power_on(firmware(0))


async def test_firmware_that_takes_another_servers_offer(box: Box, plug: Plug) -> None:
    pc = plug()
    await ask_twice(pc)
    box.await_stage(pc.mac, "offered")
    FailedPc(box, pc).later("was offered the boot loader, and did not take it: another boot server", "doctor pcap")


async def test_port_69_is_blocked(box: Box, plug: Plug) -> None:
    pc = plug()
    await ask_twice(pc)
    await pc.ask_boot_server(firmware(0), 68)
    box.await_stage(pc.mac, "offered")
    FailedPc(box, pc).await_sign("chose_us")
    FailedPc(box, pc).later("chose the box as its boot server, and did not load the boot loader", "UDP port 69")
