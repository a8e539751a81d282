"""The running box: the callables that the services ask, answered from configuration, allowlist, journal and policy.

It opens no socket and has no loop; `daemon.py` wires it. Each method is one question of one service.
"""

import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import PurePosixPath

import structlog

from appliance import policy
from appliance.allowlist import Allowlist
from appliance.claims import Claims
from appliance.config import Config
from appliance.journal import Journal
from appliance.network import base_url, networks
from appliance.registry import Registry
from image.commandline import render as render_command_line
from image.recipe import BOINC_GID, BOINC_UID
from image.release import ReleaseError, current
from services.boinc.files import archive
from services.boinc.files import render as render_boinc_files
from services.decision import BootPlan, Ignore, Reason
from services.dhcp.proxy import BootRequest
from services.ethernet import MacAddress
from services.events import AddressSeen, Discovered, Event, Reported, ScriptServed, TransferProgressed
from services.menus.ipxe import LiveBoot
from services.menus.ipxe import render as render_ipxe
from services.neighbours import Interface, Neighbours

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
        self.claims = Claims(neighbours, self._record)
        self.release: str | None = None
        self.refresh_release()

    def allowed(self, mac: MacAddress) -> bool:
        """Whether this MAC may have anything at all."""
        return mac in self.allowlist

    def plan(self, address: IPv4Address, request: BootRequest) -> BootPlan | Ignore:
        """What DHCP offers; `address` is the box's own, where the request came in."""
        return policy.plan(
            request,
            loaders=self.config.boot.loaders.by_machine,
            allowlist=self.allowlist,
            release=self.release,
            base_url=base_url(address, self.config.server.http_port),
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
        """The boot script, with this boot's token on the kernel command line."""
        release = self.release
        if release is None:
            return Ignore(Reason.NO_IMAGE)
        self._record(ScriptServed(mac))
        boot = self._journal.boot(mac)
        assert boot is not None
        # This one needs no confirmation: `admit` has just looked the peer up.
        self._record(AddressSeen(mac, peer))
        command_line = render_command_line(
            server=address,
            images=PurePosixPath(self.config.images),
            release=release,
            mac=mac.bare,
            state=PurePosixPath(self.config.state / mac.bare),
            token=boot.token,
            port=self.config.server.http_port,
            extra=self.config.image.kernel_arguments,
        )
        return render_ipxe(LiveBoot(f"image/{release}/vmlinuz", f"image/{release}/initrd.img", command_line))

    def secrets(self, mac: MacAddress, token: str) -> bytes | Ignore:
        """The BOINC files of this PC as a tar, for the boot whose token it is."""
        decision = policy.secrets(self._journal.boot(mac), token)
        client = self._registry.client(mac)
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
                self.claims.add(event, time.monotonic())
            case _:
                self._record(event)

    def _record(self, event: Event) -> None:
        """Take down an event; where it changes a client's addresses, the exports follow."""
        mac = event.mac if isinstance(event, AddressSeen | ScriptServed) else None
        before = self._known(mac)
        match event:
            case Discovered() | ScriptServed():
                self._journal.began(event, self.release or "")
            case TransferProgressed(sent=0) if event.path in self.config.boot.names:
                self._journal.began(event, self.release or "")
            case _:
                self._journal.record(event)
        if self._known(mac) != before:
            self._moved()

    def neighbour_changed(self, address: IPv4Address, mac: MacAddress) -> None:
        """The kernel has met `mac` at `address`: whoever had it before, loses what was exported to it there.

        This is what a stranger runs into that is given the address of a PC that was switched off: before it can say a
        word to the NFS server, it has to be a neighbour.
        """
        if self._journal.moved_in(address, mac):
            self._moved()
        if self.config.dhcp.mode == "off" and self.allowed(mac) and address not in self._known(mac):
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

    def _known(self, mac: MacAddress | None) -> tuple[IPv4Address, ...]:
        boot = self._journal.boot(mac) if mac else None
        return boot.known_addresses if boot else ()
