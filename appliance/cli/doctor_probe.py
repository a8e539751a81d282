"""`doctor probe` and `doctor pcap`: a PC's network boot in words, played from this host or read from a capture."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.allowlist import Allowlist
from appliance.boot.policy import plan
from appliance.cli.output import ago, show_json
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.journal.recorder import latest
from appliance.journal.timeline import Stage
from appliance.network.interfaces import base_url, interfaces
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from image.release import INITRD, KERNEL, ReleaseError, current
from image.release import read as read_release
from services.dhcp.firmware import Machine
from services.dhcp.plan import BootPlan
from services.dhcp.proxy import BootRequest
from services.ethernet import MacAddress
from services.http.paths import ImageUrl, LoaderFile, parse
from services.linux.interfaces import Interface, interface_address
from services.probe.explanation import Explanation, explain, lines
from services.probe.firmware import Agent
from services.probe.message import Checked, Packet, Refused
from services.probe.verdict import BoxFacts, Outcome


class Arch(StrEnum):
    """The firmware that a probe plays."""

    BIOS = "bios"
    UEFI = "uefi-x64"
    UEFI_HTTP = "uefi-http"
    IPXE = "ipxe"


def probe(
    context: typer.Context,
    mac: Annotated[str, typer.Argument(help="The PC to be.", metavar="MAC", show_default=False)],
    arch: Annotated[Arch, typer.Option("--arch", help="The firmware to play.")] = Arch.UEFI,
    interface: Annotated[
        str, typer.Option("--interface", help="Ask on this interface, not the configured one.", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Be a PC that boots, as far as this host may: ask for offers, judge them as its firmware would, fetch the files.

    Takes no lease. The box gives files to the PC's own MAC address only: from another host TFTP and HTTP are refused.
    To the box it is a power-on of that PC, and `status` will show it. Exit code 0: it boots, 1: it would not, 2: bad
    input.
    """
    from services.probe.client import Probe

    try:
        client = MacAddress.parse(mac)
    except ValueError as error:
        raise UserError(str(error)) from None
    # On any other host of the segment there is no configuration, and none is needed.
    config = None if interface and not context.obj.exists() else load(context.obj)
    disk = _BoxOnDisk(config, client) if config else None
    asked = _interface(config, interface)
    answer = partial(disk.answer, asked.address.ip) if disk else None
    run = Probe(asked, client, Agent(arch.value), disk.expected if disk else _unknown, answer)
    if disk and (warning := disk.warning()):
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"playing {Agent(arch.value).words} as {client}; offers are awaited for some seconds …", err=True)
    try:
        packets = run.run()
    except PermissionError:
        raise UserError("cannot play a DHCP client: permission denied", "run as root (sudo)", code=1) from None
    except OSError as error:
        raise UserError(f"the probe cannot go on: {error.strerror or error}", "is the interface up?", code=1) from None
    if disk:
        packets = [*packets, *disk.look(packets, Arch(arch))]
    explanation = explain(client, packets, disk.box() if disk else None)
    if as_json:
        show_json(_json(explanation))
    else:
        typer.echo("\n".join(lines(explanation)))
    raise typer.Exit(0 if explanation.verdict.outcome is Outcome.BOOTS else 1)


def pcap(
    file: Annotated[Path, typer.Argument(help="A capture (pcap, pcapng) of the PC's port.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Explain a capture: what each PC said and heard, and why it boots or does not.

    Take one with: tcpdump -i eth0 -w boot.pcap. Exit code 0: each PC in it boots, 1: one was not seen to, 2: bad input.
    """
    from services.probe import capture

    try:
        clients = capture.read(file)
    except capture.CaptureError as error:
        raise UserError(str(error), "take one with: tcpdump -i eth0 -w boot.pcap") from None
    booting = {mac: packets for mac, packets in clients.items() if capture.boots(packets)}
    asking = {mac: packets for mac, packets in clients.items() if capture.configures(packets)}
    shown = [explain(mac, packets) for mac, packets in (booting or asking).items()]
    if not shown:
        raise UserError(
            f"{file} has no DHCP or TFTP of any PC in it",
            "capture at the PC's switch port or on the box, from before the PC is switched on",
        )
    if as_json:
        show_json({"clients": [_json(each) for each in shown], "others": len(clients) - len(shown)})
    else:
        typer.echo("\n\n".join("\n".join(lines(each)) for each in shown))
        if len(clients) > len(shown):
            typer.echo(f"\n{len(clients) - len(shown)} other hosts in it did not ask to boot.")
    raise typer.Exit(0 if all(each.verdict.outcome is Outcome.BOOTS for each in shown) else 1)


@dataclass(frozen=True)
class _BoxOnDisk:
    """What the box's own configuration, registry and files say about one PC."""

    config: Config
    mac: MacAddress

    def box(self) -> BoxFacts:
        """What a verdict may know of the box."""
        try:
            release = current(self.config.images)
        except ReleaseError:
            release = None
        allowed = self.mac in self._allowlist()
        return BoxFacts(holder(self.config.registry) is not None, allowed, release.id if release else "")

    def _allowlist(self) -> Allowlist:
        if not self.config.registry.exists():
            return Allowlist.of([])
        with Registry(self.config.registry) as registry:
            return registry.allowlist()

    def warning(self) -> str:
        """What a probe does to the records of a PC that may be running now; "" when there is nothing to say."""
        if not self.config.registry.exists():
            return ""
        with Registry(self.config.registry) as registry:
            boot = next((boot for boot in latest(registry) if boot.mac == self.mac), None)
        if boot is None or not boot.has_reached(Stage.ROOT_MOUNTED):
            return ""
        return (
            f"{self.mac} has booted ({boot.stage}, last heard {ago(boot.last_event)}): to the box this probe is its "
            "next power-on, and `status` shows that until it boots again"
        )

    def answer(self, address: IPv4Address, ipxe: bool, architecture: int) -> str:
        """The boot file that the box on this host, at `address`, answers this PC on port 4011, or ""."""
        box = self.box()
        decision = plan(
            BootRequest(self.mac, (architecture,), ipxe),
            loaders=self.config.boot.loaders.by_machine,
            allowlist=self._allowlist(),
            release=box.release or None,
            base_url=base_url(address, self.config.server.http_port),
        )
        return decision.boot_file if box.running and isinstance(decision, BootPlan) else ""

    def expected(self, name: str) -> str:
        """The sha256 that a boot file or a path of a URL should have, or ""."""
        for file in self.config.boot.names:
            if name in (file, f"{self.mac.bare}/{file}"):
                return _sha256(self.config.boot_root / file)
        target = parse(name).target
        if isinstance(target, LoaderFile):
            return _sha256(self.config.boot_root / target.file)
        if not isinstance(target, ImageUrl):
            return ""
        try:
            return read_release(self.config.images, target.release).files[target.file].sha256
        except (ReleaseError, KeyError):
            return ""

    def look(self, packets: Sequence[Packet], arch: Arch) -> list[Packet]:
        """The files that the box refused to this host, as they are on its disk."""
        refused = [packet for packet in packets if isinstance(packet.content, Refused)]
        if not refused:
            return []
        last = packets[-1]
        loader = self.config.boot.loaders.by_machine.get(Machine.BIOS if arch is Arch.BIOS else Machine.UEFI_X64)
        checks = [self._loader(loader)] if loader and arch is not Arch.IPXE else []
        try:
            release = current(self.config.images)
        except ReleaseError as error:
            checks.append(Checked("the image", False, str(error)))
            release = None
        for name in (KERNEL, INITRD) if release else ():
            assert release
            good = _sha256(release.path / name) == release.files[name].sha256
            words = f"{release.files[name].size:,} bytes, sha256 "
            checks.append(Checked(f"{release.id}/{name}", good, words + ("as in the manifest" if good else "differs")))
        return [Packet(last.at, True, last.server, 0, 0, check) for check in checks]

    def _loader(self, name: str) -> Checked:
        path = self.config.boot_root / name
        if digest := _sha256(path):
            return Checked(name, True, f"{path.stat().st_size:,} bytes, sha256 {digest[:16]}…")
        return Checked(name, False, "missing; serve puts it there when it starts")


def _unknown(_: str) -> str:
    return ""


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _interface(config: Config | None, name: str) -> Interface:
    if name:
        try:
            return interface_address(name)
        except LookupError as error:
            raise UserError(str(error.args[0]), "see the names with: ip -brief address") from None
    assert config
    served = interfaces(config)
    if len(served) > 1:
        names = " or ".join(f"--interface {each.name}" for each in served)
        raise UserError("the box serves several interfaces, and a PC is on one of them", f"choose: {names}")
    return served[0]


def _json(explanation: Explanation) -> dict[str, Any]:
    verdict = explanation.verdict
    return {
        "mac": str(explanation.mac),
        "steps": [
            {"at": round(step.at, 6), "direction": step.direction, "text": step.words, "next": step.then}
            for step in explanation.steps
        ],
        "verdict": {"outcome": verdict.outcome.value, "text": verdict.words, "hint": verdict.hint},
    }
