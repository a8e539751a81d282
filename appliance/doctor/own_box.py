"""What this box's own configuration, registry and files say about one PC: what a probe compares its answers with.

Reads only. Works beside a running server and without one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from appliance.allowlist import Allowlist
from appliance.boot.choices import loaders
from appliance.boot.policy import plan
from appliance.config.file import Config
from appliance.journal.history import latest_of
from appliance.journal.timeline import Boot, Stage
from appliance.network.interfaces import base_url
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from image.names import DEFAULT
from image.release import INITRD, KERNEL, MICROCODE, Release, ReleaseError, current, read
from services.dhcp.machines import Machine
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacAddress
from services.http.paths import ImageUrl, LoaderFile, parse
from services.probe.firmware import Agent
from services.probe.message import Checked, Packet, Refused
from services.probe.verdict import BoxFacts


@dataclass(frozen=True)
class OwnBox:
    """The box on this host, as the PC `mac` should see it."""

    config: Config
    mac: MacAddress

    def facts(self) -> BoxFacts:
        """What a verdict may know about the box."""
        allowlist = self._allowlist()
        image = allowlist.image_of(self.mac)
        release = _active(self.config, image)
        return BoxFacts(
            running=holder(self.config.registry) is not None,
            allowed=self.mac in allowlist,
            release=release.id if isinstance(release, Release) else "",
            image="" if image == DEFAULT else image,
        )

    def running_boot(self) -> Boot | None:
        """The PC's latest boot if its live system has started: the PC may be running now."""
        if not self.config.registry.exists():
            return None
        with Registry(self.config.registry) as registry:
            boot = latest_of(registry, self.mac)
        return boot if boot and boot.has_reached(Stage.ROOT_MOUNTED) else None

    def answer(self, address: IPv4Address, ipxe: bool, architecture: int) -> str:
        """The boot file that the box, at `address`, answers this PC on port 4011, or ""."""
        box = self.facts()
        decision = plan(
            BootRequest(self.mac, (architecture,), ipxe),
            loaders=loaders(self.config),
            allowlist=self._allowlist(),
            release=box.release or None,
            base_url=base_url(address, self.config.server.http_port),
            image=box.image or DEFAULT,
        )
        return decision.boot_file if box.running and isinstance(decision, BootPlan) else ""

    def expected(self, name: str) -> str:
        """The sha256 in hex that a boot file, or the file at the path of a URL, should have; "" where unknown."""
        for file in self.config.boot.names:
            if name in (file, f"{self.mac.bare}/{file}"):
                return _sha256(self.config.boot_root / file)
        target = parse(name).target
        if isinstance(target, LoaderFile):
            return _sha256(self.config.boot_root / target.file)
        if not isinstance(target, ImageUrl):
            return ""
        try:
            return read(self.config.images, target.release).files[target.file].sha256
        except (ReleaseError, KeyError):
            return ""

    def check_refused(self, packets: Sequence[Packet], agent: Agent) -> list[Packet]:
        """Check on the disk the files that the box refused to this host, because it is not the PC."""
        if not any(isinstance(packet.content, Refused) for packet in packets):
            return []
        last = packets[-1]
        loader = self.config.boot.loaders.by_machine.get(Machine.BIOS if agent is Agent.BIOS else Machine.UEFI_X64)
        checks = [self._check_loader(loader)] if loader and agent is not Agent.IPXE else []
        match _active(self.config, self._allowlist().image_of(self.mac)):
            case ReleaseError() as error:
                checks.append(Checked("the image", False, str(error)))
            case Release() as release:
                checks += [_check_file(release, name) for name in (KERNEL, MICROCODE, INITRD) if name in release.files]
        return [Packet(last.at, True, last.server, 0, 0, check) for check in checks]

    def _allowlist(self) -> Allowlist:
        if not self.config.registry.exists():
            return Allowlist.of([])
        with Registry(self.config.registry) as registry:
            return registry.allowlist()

    def _check_loader(self, name: str) -> Checked:
        path = self.config.boot_root / name
        if digest := _sha256(path):
            return Checked(name, True, f"{path.stat().st_size:,} bytes, sha256 {digest[:16]}…")
        return Checked(name, False, "missing; serve puts it there when it starts")


def _active(config: Config, image: str) -> Release | ReleaseError | None:
    try:
        return current(config.images, image)
    except ReleaseError as error:
        return error


def _check_file(release: Release, name: str) -> Checked:
    good = _sha256(release.path / name) == release.files[name].sha256
    words = f"{release.files[name].size:,} bytes, sha256 {'as in the manifest' if good else 'differs'}"
    return Checked(f"{release.id}/{name}", good, words)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
