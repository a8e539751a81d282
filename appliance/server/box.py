"""The running box: the callables that the services ask, answered from configuration, allowlist, journal and policy.

It opens no socket and has no loop; `daemon.py` wires it. Each method is one question of one service.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address

import structlog

from appliance.allowlist import Allowlist, BootSettings
from appliance.boot import choices, next_boot, policy
from appliance.boot.menu import decide
from appliance.boot.password_attempts import PasswordAttempts
from appliance.config import menu_password
from appliance.config.file import Config
from appliance.exports.grants import mountable
from appliance.firmware.memory import FirmwareMemory
from appliance.journal.recorder import Journal
from appliance.network.interfaces import base_url, networks
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from appliance.server.address_claims import AddressClaims
from image.bootfiles import has_shim
from image.recipe import BOINC_GID, BOINC_UID
from image.release import ReleaseError, current, named
from services.boinc.files import archive
from services.boinc.files import render as render_boinc_files
from services.decision import Ignore, Reason
from services.dhcp.plan import BootPlan
from services.dhcp.proxy import BootRequest
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    Event,
    Offered,
    Reported,
    ScriptServed,
    TransferProgressed,
)
from services.linux.neighbours import Interface, Neighbours
from services.menus.grub import render as render_grub
from services.menus.ipxe import render as render_ipxe
from services.menus.ipxe import render_entry
from services.menus.menu import Dialect, LiveBoot, Menu
from services.menus.pxelinux import render as render_pxelinux

_VERIFY_SECONDS = 2.0  # between two looks at the files of the active release

log = structlog.get_logger("box")


class Box:
    """What the services ask. `config` and `networks` are replaced as a whole by a reload."""

    def __init__(
        self,
        config: Config,
        registry: Registry,
        journal: Journal,
        neighbours: Neighbours,
        interfaces: Sequence[Interface],
        moved: Callable[[], None],
    ) -> None:
        """`moved` is called when what is exported, and to whom, may have changed."""
        self.config = config
        self.networks = networks(config, interfaces)
        self.allowlist: Allowlist = registry.allowlist()
        self._registry = registry
        self._journal = journal
        self._neighbours = neighbours
        self._moved = moved
        self.adaptations = FirmwareMemory(registry, shim=has_shim(config.boot_root))
        self.claims = AddressClaims(neighbours, self._record)
        self.release: str | None = None
        self._unlocking = PasswordAttempts(time.monotonic)
        self._missing: set[str] = set()
        self._verify_at = 0.0
        self.refresh_release()

    def allowed(self, mac: MacAddress) -> bool:
        """Whether this MAC may have anything at all."""
        return mac in self.allowlist

    def holds(self, value: int) -> bool:
        """The same by the number of the MAC address, for the socket of DHCP."""
        return self.allowlist.holds(value)

    def basis(self) -> tuple[object, ...]:
        """What answers to DHCP rest on, beside the client itself. A commit of another process renews the allowlist, so
        it stands for the registry."""
        return self.config, self.allowlist, self.release

    def commit(self) -> None:
        """Write down the boots that were opened by DISCOVERs, before these are answered."""
        self._journal.commit()

    def plan(self, address: IPv4Address, request: BootRequest) -> BootPlan | Ignore:
        """What DHCP offers; `address` is the box's own, where the request came in."""
        return policy.plan(
            request,
            loaders=self.config.boot.loaders.by_machine,
            allowlist=self.allowlist,
            release=self.release,
            base_url=base_url(address, self.config.server.http_port),
            profile=self.adaptations.profile(request.mac),
        )

    def admit(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        """Who a TFTP or HTTP peer is."""
        on_link = self._neighbours.on_link(peer)
        neighbour = self._neighbours.mac_of(peer) if on_link else None
        decision = policy.admit(
            claimed, neighbour, peer=peer, on_link=on_link, allowlist=self.allowlist, networks=self.networks
        )
        if decision == Ignore(Reason.UNKNOWN_NEIGHBOUR):
            # The client learned our MAC from a frame of ours and never asked by ARP; its retry finds the table filled.
            self._neighbours.nudge(peer)
        return decision

    def script(self, address: IPv4Address, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
        """The boot script of iPXE: the menu, or what boots without one."""
        menu = self.menu(address, mac, peer)
        if isinstance(menu, Ignore):
            return menu
        self._started_alone(mac, menu)
        return render_ipxe(menu, self._own_url(address, mac))

    def loader_script(self, address: IPv4Address, dialect: Dialect, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
        """The same for GRUB and PXELINUX, which read it over TFTP."""
        menu = self.menu(address, mac, peer)
        if isinstance(menu, Ignore):
            return menu
        self._started_alone(mac, menu)
        if dialect is Dialect.PXELINUX:
            return render_pxelinux(menu)
        return render_grub(menu, mac.bare, address, self.config.menu.grub_password)

    async def chosen(
        self, address: IPv4Address, mac: MacAddress, peer: IPv4Address, key: str, password: str | None
    ) -> str | Ignore:
        """The script of one entry of the menu, by its key; of a locked one for its password only."""
        menu = self.menu(address, mac, peer)
        if isinstance(menu, Ignore):
            return menu
        entry = next((entry for entry in menu.entries if entry.key == key), None)
        if entry is None:
            return Ignore(Reason.NO_FILE)
        if entry.locked:
            refused = await self._unlocking.check(mac, menu_password.parse(self.config.menu.password), password)
            if refused is not None:
                return refused
        self._started(mac, entry.name)
        return render_entry(entry, self._own_url(address, mac))

    def menu(self, address: IPv4Address, mac: MacAddress, peer: IPv4Address) -> Menu | Ignore:
        """What the boot loader of this PC offers, with this boot's token on the kernel command lines. For the loader,
        not for a preview: who asks has reached the stage "script", and has taken what `boot next` says."""
        release = self.release
        if release is None:
            return Ignore(Reason.NO_IMAGE)
        entry = self.allowlist.decide(mac)
        own = entry.settings if entry else BootSettings()
        self._record(ScriptServed(mac, own.root or self.config.image.root))
        boot = self._journal.boot(mac)
        assert boot is not None
        token = boot.token
        # This one needs no confirmation: `admit` has just looked the peer up.
        self._record(AddressSeen(mac, peer))
        following = self._following(mac, boot.id)
        names = (*self.config.menu.entries, own.entry, following)

        def live(release: str, rescue: bool) -> LiveBoot:
            return choices.live(self.config, address, mac, token, own.root, release, rescue=rescue)

        decided = decide(self.config.menu, own, following, choices.look(self.config, release, names), live)
        self._say_missing(decided.missing)
        return decided.menu

    def secrets(self, mac: MacAddress, token: str) -> bytes | Ignore:
        """The BOINC files of this PC as a tar, for the boot whose token it is."""
        decision = policy.secrets(self._journal.boot(mac), token)
        client = self._journal.client(mac)
        if isinstance(decision, Ignore):
            return decision
        if client is None:
            return Ignore(Reason.NO_BOOT)
        files = render_boinc_files(
            self.config.project.account,
            self.config.boinc.preferences,
            client.gui_rpc_password,
            self.config.boinc.management_hosts,
        )
        return archive(files, BOINC_UID, BOINC_GID)

    def report(self, mac: MacAddress, token: str, report: Reported) -> Reported | Ignore:
        """Take a report of the live system, if it is of the client's current boot."""
        decision = policy.current(self._journal.boot(mac), token)
        if isinstance(decision, Ignore):
            return decision
        self.emit(report)
        return report

    def emit(self, event: Event) -> None:
        """Take down what a service saw or did."""
        match event:
            case AddressSeen():
                self.adaptations.observe(event, time.time())
                # Anybody can broadcast a DHCPREQUEST with any address in it: one that is of no use is not kept.
                if mountable(event.address, self.networks):
                    self.claims.add(event, time.monotonic())
            # What a room that is switched on brings a thousand times at once; no exports hang on it.
            case Discovered():
                self.adaptations.observe(event, time.time())
                self._journal.began(event, self.release or "", commit=False)
            case Offered():
                self.adaptations.observe(event, time.time())
                self._journal.record(event)
            case _:
                self._record(event)

    def _record(self, event: Event) -> None:
        """Take down an event; where it changes a client's addresses or its root, the exports follow."""
        mac = event.mac if isinstance(event, AddressSeen | ScriptServed) else None
        before = self._exported(mac)
        if not isinstance(event, AddressSeen):
            self.adaptations.observe(event, time.time())
        match event:
            case ScriptServed():
                self._journal.began(event, self.release or "")
            case TransferProgressed(sent=0) if event.path in self.config.boot.names:
                self._journal.began(event, self.release or "")
            case _:
                self._journal.record(event)
        if self._exported(mac) != before:
            self._moved()

    def neighbour_changed(self, address: IPv4Address, mac: MacAddress) -> None:
        """The kernel has met `mac` at `address`: whoever had it before, loses what was exported to it there.

        This is what a stranger runs into that is given the address of a PC that was switched off: before it can say a
        word to the NFS server, it has to be a neighbour.
        """
        if self._journal.moved_in(address, mac):
            self._moved()
        if self.config.dhcp.mode == "off" and self.allowed(mac) and address not in self._exported(mac)[0]:
            # Requests for leases are not heard then, and the live system may get another address than its iPXE had.
            self._record(AddressSeen(mac, address))

    def recheck_addresses(self) -> None:
        """Take away what was exported to addresses that other machines took while the box was not running."""
        for boot in self._journal.boots():
            for address in boot.known_addresses:
                if (mac := self._neighbours.mac_of(address)) is not None:
                    self.neighbour_changed(address, mac)

    def refresh_allowlist(self) -> None:
        """Take over what the CLI changed."""
        self.allowlist = self._registry.allowlist()
        self._moved()

    def refresh_release(self) -> None:
        """Take over what `image build`, `activate` or `rollback` made the active release."""
        try:
            release = current(self.config.images)
        except ReleaseError as error:
            # Half an image would hang a room of PCs at the same point: without one they boot from their own disks.
            if self.release is not None:
                log.error("the active image is broken; nobody boots", error=str(error), hint=error.hint)
            self.release = None
            return
        name = release.id if release else None
        if name != self.release:
            log.info("active image", release=name)
            self.release = name

    def follow_release(self, now: float) -> None:
        """The same when another one is active, and else every _VERIFY_SECONDS; `now` is monotonic."""
        try:
            as_before = named(self.config.images) == self.release
        except ReleaseError:
            as_before = False
        if not as_before or now >= self._verify_at:
            self._verify_at = now + _VERIFY_SECONDS
            self.refresh_release()

    def _following(self, mac: MacAddress, boot: int) -> str:
        """What `boot next` says for this boot, or empty."""
        try:
            return next_boot.take(self._registry, mac, boot)
        except SqlError as error:
            log.error("what `boot next` asks for cannot be read; the PC boots as usual", mac=str(mac), error=str(error))
            return ""

    def _started_alone(self, mac: MacAddress, menu: Menu) -> None:
        """Without a menu the PC starts its default; what it chooses from one, GRUB and PXELINUX do not tell."""
        if menu.timeout == 0:
            self._started(mac, menu.default)

    def _started(self, mac: MacAddress, name: str) -> None:
        boot = self._journal.boot(mac)
        if boot is not None and boot.entry != name:
            self._record(EntryStarted(mac, name))

    def _own_url(self, address: IPv4Address, mac: MacAddress) -> str:
        return f"{base_url(address, self.config.server.http_port)}/boot/{mac.bare}/"

    def _say_missing(self, missing: Iterable[str]) -> None:
        """Log what menus lack, each once."""
        for line in missing:
            if line not in self._missing:
                self._missing.add(line)
                log.warning("the boot menu lacks an entry", entry=line)

    def _exported(self, mac: MacAddress | None) -> tuple[tuple[IPv4Address, ...], str]:
        """What the exports to a PC hang on: its addresses, and the way of its root."""
        boot = self._journal.boot(mac) if mac else None
        return (boot.known_addresses, boot.root) if boot else ((), "")
