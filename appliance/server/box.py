"""The running box: who may boot, what DHCP offers, and what the events of the services change.

Each method answers one question of a service, from the configuration, the allowlist, the journal and the policy. It
opens no socket and has no loop: `daemon.py` wires it. `boot_scripts.py` makes boot scripts and menus.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address

import structlog

from appliance.allowlist import Allowlist
from appliance.boot import policy
from appliance.boot.choices import loaders
from appliance.boot.next_boot import NextBoots
from appliance.boot.report_limit import ReportLimit
from appliance.config.file import Config
from appliance.config.schedules import ScheduleSettings
from appliance.exports.grants import mountable
from appliance.firmware.memory import FirmwareMemory
from appliance.heartbeats.pace import next_in
from appliance.images.release_choice import ReleaseChoice
from appliance.journal.recorder import Journal
from appliance.journal.timeline import PowerOnSign, is_late
from appliance.network.interfaces import answered, base_url, networks
from appliance.registry.database import Registry
from appliance.schedules import holds, respites
from appliance.schedules.effective import Outside
from appliance.schedules.hold import Holds
from appliance.server.address_claims import AddressClaims
from appliance.server.client_addresses import ClientAddresses
from appliance.server.client_files import ClientFiles
from appliance.server.counters import ServerCounters
from appliance.server.heartbeats import Heartbeats
from appliance.server.live_files import LiveFiles
from appliance.server.window_ends import WindowEnds
from image.bootfiles import has_shim
from image.names import DEFAULT
from image.release import ReleaseError, active_ids, current
from services.decision import Ignore, Reason
from services.dhcp.plan import BootPlan
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    Reported,
    ScriptServed,
    SecretsClosed,
    SecretsServed,
    TokenExchanged,
    TransferProgressed,
)
from services.http.heartbeats import Heartbeat, HeartbeatReply
from services.linux.interfaces import Interface
from services.linux.neighbours import Neighbours
from services.linux.open_beneath import OpenFile

_VERIFY_SECONDS = 2.0  # between two looks at the files of the active release

log = structlog.get_logger("box")


class Box:
    """What the services ask. A reload replaces `config` as a whole, by `configure`."""

    def __init__(
        self,
        config: Config,
        registry: Registry,
        journal: Journal,
        neighbours: Neighbours,
        interfaces: Sequence[Interface],
        exports_changed: Callable[[], None],
    ) -> None:
        """`exports_changed` is called when what is exported, or to whom, may have changed."""
        self._interfaces = tuple(interfaces)
        self._registry = registry
        self.configure(config)
        self.allowlist: Allowlist = registry.allowlist()
        self._journal = journal
        self._neighbours = neighbours
        self._exports_changed = exports_changed
        self.counters = ServerCounters(registry)
        self.firmware = FirmwareMemory(registry)
        journal.forgot = self.firmware.forget
        self._report_limit = ReportLimit()
        self.heartbeats = Heartbeats(registry)
        self.next_boots = NextBoots(registry)
        self.releases = ReleaseChoice(registry, config.images)
        self._files = ClientFiles(journal)
        self.live = LiveFiles(journal, registry)
        self.addresses = ClientAddresses(
            journal, neighbours, self.allowed, lambda: self.config.dhcp.mode == "off", exports_changed
        )
        self.claims = AddressClaims(neighbours, self.addresses.confirm)
        self.active: Mapping[str, str] = {}
        """The active release of each image, by its name; broken ones are left out. Replaced as a whole."""
        self._verify_at = 0.0
        self.refresh_release()
        self.refresh_boot_files()

    def configure(self, config: Config) -> None:
        """Take a configuration, and the networks that follow from it."""
        # First: if the registry cannot be read, nothing is changed.
        windows = WindowEnds(config, *self._read_windows())
        self.config = config
        self.networks = networks(config, self._interfaces)
        self._answered = answered(config, self._interfaces)
        self._window_ends = windows

    def serves(self, address: IPv4Address) -> bool:
        """Whether a DHCP answer may go to this relay, or to this client of port 4011."""
        return any(address in network for network in self._answered)

    def allowed(self, mac: MacAddress) -> bool:
        """Whether this MAC may have anything at all."""
        return mac in self.allowlist

    def allows_number(self, value: int) -> bool:
        """Like `allowed`, by the MAC address as a number. Called for each datagram."""
        return self.allowlist.allows_number(value)

    def knows_number(self, value: int) -> bool:
        """Whether the PC with this MAC address, as a number, has ever loaded anything."""
        return self._journal.knows_number(value)

    def answer_inputs(self) -> tuple[object, ...]:
        """What answers to DHCP depend on, apart from the client itself. Any edit of another process renews the
        allowlist, so the allowlist stands for all that `Registry.edit` changes."""
        return self.config, self.allowlist, self.active, self.loaders

    def commit(self) -> None:
        """Save the boots that DISCOVERs opened, before these are answered."""
        self._journal.commit()

    def plan(self, address: IPv4Address, request: BootRequest) -> BootPlan | Ignore:
        """What DHCP offers; `address` is the box's own, where the request came in."""
        image = self.allowlist.image_of(request.mac)
        return policy.plan(
            request,
            loaders=self.loaders,
            allowlist=self.allowlist,
            release=self.active.get(image),
            base_url=base_url(address, self.config.server.http_port),
            profile=self.firmware.profile(request.mac),
            image=image,
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

    def admit_over_tcp(self, claimed: MacAddress | None, peer: IPv4Address) -> MacAddress | Ignore:
        """`admit` for a peer whose address is no forgery, since it completed the handshake of TCP."""
        decision = self.admit(claimed, peer)
        if not isinstance(decision, Ignore) and self._neighbours.on_link(peer):
            self.addresses.requested(decision, peer)
        return decision

    def script_fetched(self, served: ScriptServed, peer: IPv4Address, *, tcp: bool) -> None:
        """Record that a client fetches its boot script, with the token of its boot, and where it is.

        Behind a router that is known over TCP only: anybody can write any address into a datagram.
        """
        mounted = self.addresses.mounted_behind_routers(served.mac)
        self.emit(served)
        for address in mounted:
            self.addresses.confirm(AddressSeen(served.mac, address))
        if tcp:
            self.addresses.met(served.mac, peer)
        elif self._neighbours.on_link(peer):
            # No need to wait for the neighbour table: `admit` has just looked the peer up.
            self.addresses.confirm(AddressSeen(served.mac, peer))

    def secrets(self, mac: MacAddress, token: str, peer: IPv4Address) -> bytes | Ignore:
        """The BOINC files of this PC as a tar, for the boot that has this token. `peer` is a place of that PC then.

        Once the PC runs it gets them again only if it said that it has others (`files_placed`).
        """
        packed = self._files.open(self.config, self.allowlist, mac, token)
        if isinstance(packed, Ignore):
            return packed
        self.addresses.met(mac, peer)
        if (boot := self._journal.boot(mac)) is not None and boot.spent_token:
            self.emit(SecretsServed(mac))
        return packed

    def live_list(self, mac: MacAddress, token: str) -> str | Ignore:
        """The archives for the root of this PC, for the boot that has this token."""
        return self.live.listing(self.config, self.allowlist, mac, token)

    def live_archive(self, mac: MacAddress, token: str, digest: str) -> OpenFile | Ignore:
        """One of these archives, by its SHA-256."""
        return self.live.archive(self.config, self.allowlist, mac, token, digest)

    def files_tag(self, mac: MacAddress) -> str:
        """The tag of the BOINC files that this PC should have; "" if it should have none."""
        return self._files.tag(self.config, self.allowlist, mac)

    def files_placed(self, mac: MacAddress, tag: str) -> None:
        """The live system said, with the token of its boot, which BOINC files it has."""
        self._files.placed(mac, tag)

    def report(self, mac: MacAddress, token: str, report: Reported, peer: IPv4Address) -> Reported | Ignore:
        """Take a report of the live system, if it belongs to the client's current boot. `peer` is a place of that PC
        then."""
        decision = policy.current(self._journal.boot(mac), token)
        if isinstance(decision, Ignore):
            return decision
        self.addresses.met(mac, peer)
        taken = self._report_limit.check(decision, report, time.monotonic())
        if isinstance(taken, Reported):
            self.emit(taken)
        return taken

    def heartbeat(
        self, mac: MacAddress, token: str, heartbeat: Heartbeat, peer: IPv4Address
    ) -> HeartbeatReply | Ignore:
        """Take a heartbeat of the live system, if it belongs to the client's current boot, and reply with the orders
        for it. `peer` is a place of that PC then."""
        boot = policy.current(self._journal.boot(mac), token)
        if isinstance(boot, Ignore):
            return boot
        self.addresses.met(mac, peer)
        now = self._journal.now()
        allowed = self.allowlist.decide(mac)
        label, schedule = (allowed.label, allowed.settings.schedule) if allowed else ("", "")
        settings = self.config.schedule(schedule) if schedule else None
        respite = settings.respite if settings else ScheduleSettings.respite
        if not self.heartbeats.take(boot, heartbeat, now, time.monotonic(), respite):
            return Ignore(Reason.TOO_MANY_HEARTBEATS)
        self.counters.count_heartbeat()
        self.files_placed(mac, heartbeat.facts.get("files", ""))
        open_orders = self.heartbeats.orders_for(boot, now)
        window = self._window_ends.of(allowed, boot.started, now) if allowed else None
        files = self.files_tag(mac)
        return HeartbeatReply(now, next_in(mac, now), files, open_orders, label, window, owned=settings is not None)

    def exchange(self, mac: MacAddress, token: str, peer: IPv4Address) -> str | Ignore:
        """A token that takes the place of this one, which from then on opens nothing. The first answer may get lost, so
        the same question gets the same answer for a while (appliance/boot/policy.py)."""
        decision = policy.exchange(self._journal.boot(mac), token, self._journal.now())
        if isinstance(decision, Ignore):
            return decision
        self.addresses.met(mac, peer)
        if not decision.exchanged:
            if not self._report_limit.check_exchange(mac, time.monotonic()):
                return Ignore(Reason.TOO_MANY_REPORTS)
            decision = self._journal.exchange_token(
                decision, TokenExchanged(mac, policy.reporting_token(decision.token))
            )
        return policy.exchanged_for(decision, token)

    def emit(self, event: Event) -> None:
        """Act on what a service saw or did, and record it."""
        self.counters.count(event)
        self.firmware.observe(event, time.time())
        match event:
            # A room that is switched on sends a thousand at once: `commit` saves their boots together.
            case Discovered():
                self._journal.open_or_continue(event, self.release_of(event.mac) or "", commit=False)
            case AddressSeen():
                # Anybody can broadcast a DHCPREQUEST with any address in it: useless ones are not kept.
                if mountable(event.address, self.networks):
                    self.claims.add(event, time.monotonic())
            case ScriptServed():
                with self.addresses.exports_follow(event.mac):
                    self._open_or_continue(event)
            case TransferProgressed(sent=0) if event.path in self.config.boot.names:
                self._open_or_continue(event, commit=False)
            case _:
                self._journal.record(event)

    def _open_or_continue(self, sign: PowerOnSign, *, commit: bool = True) -> None:
        """For a sign that programs of a running PC can give as well."""
        before = self._journal.boot(sign.mac)
        boot = self._journal.open_or_continue(sign, self.release_of(sign.mac) or "", commit=commit)
        if before is None or before.id == boot.id or not self.config.dhcp.hears_broadcasts:
            return
        if (until := before.next_begins_with) is not None and is_late(sign, until):
            self._journal.record(SecretsClosed(sign.mac, until))

    def refresh_allowlist(self) -> None:
        """Read the allowlist that the CLI changed, and which PCs boot another release than the active one."""
        self.allowlist = self._registry.allowlist()
        self._exports_changed()
        ended = self.releases.refresh()
        if ended and self._journal.boot(ended.mac):
            self.emit(ended)

    def refresh_windows(self) -> None:
        """Read which rooms are held on or off, and which PCs their owners took back. Raises UserError."""
        self._window_ends.follow(*self._read_windows())

    def _read_windows(self) -> tuple[Holds, dict[MacAddress, float]]:
        return Holds(holds.all_of(self._registry).values()), respites.of(self._registry)

    def outside(self, mac: MacAddress) -> Outside | None:
        """Why this PC gets its own disk now; None if it gets the live system."""
        allowed = self.allowlist.decide(mac)
        return self._window_ends.outside(mac, allowed, self._journal.now()) if allowed else None

    @property
    def release(self) -> str | None:
        """The active release of the default image."""
        return self.active.get(DEFAULT)

    def active_of(self, mac: MacAddress) -> str | Ignore:
        """The active release of the image that this PC boots."""
        image = self.allowlist.image_of(mac)
        return self.active.get(image) or policy.nothing_to_boot(image)

    def release_of(self, mac: MacAddress) -> str | None:
        """The release that this PC boots; None if its image has no active one."""
        return self.releases.of(mac, self.active.get(self.allowlist.image_of(mac)))

    def refresh_boot_files(self) -> None:
        """See which boot files are in place."""
        self.loaders = loaders(self.config)
        self.firmware.shim = has_shim(self.config.boot_root)

    def refresh_release(self) -> None:
        """Switch to the releases that `image build`, `activate` or `rollback` made the active ones."""
        found: dict[str, str] = {}
        for image in dict.fromkeys((DEFAULT, *self._active_ids(), *self.active)):
            before = self.active.get(image)
            try:
                release = current(self.config.images, image)
            except ReleaseError as error:
                # Half an image would hang every PC of a room. Without an image they boot from their own disks.
                if before is not None:
                    what = f"the active image {'' if image == DEFAULT else f'of {image} '}is broken; nobody boots it"
                    log.error(what, error=str(error), hint=error.hint)
                continue
            if release is not None:
                found[image] = release.id
            if found.get(image) != before:
                log.info("active image", release=found.get(image), **({} if image == DEFAULT else {"image": image}))
        if found != self.active:
            self.active = found

    def _active_ids(self) -> dict[str, str]:
        try:
            return active_ids(self.config.images)
        except ReleaseError:
            return {}

    def follow_release(self, now: float) -> None:
        """Call `refresh_release` when another release is active, and else every _VERIFY_SECONDS; `now` is monotonic."""
        if self._active_ids() != self.active or now >= self._verify_at:
            self._verify_at = now + _VERIFY_SECONDS
            self.refresh_release()
            self.releases.look()
