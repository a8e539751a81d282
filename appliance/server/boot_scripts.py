"""What the box tells boot loaders: the boot script or menu of one PC, in the language of its loader.

Each method answers one question of the HTTP or TFTP service, for a peer that `Box.admit` has just let in.
appliance/boot/menu.py decides what a menu holds; services/menus/ renders it.
"""

import time
from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Address

import structlog

from appliance.allowlist import BootSettings
from appliance.boot import choices
from appliance.boot.menu import decide
from appliance.boot.password_attempts import PasswordAttempts
from appliance.boot.policy import gives_up
from appliance.config import menu_password
from appliance.errors import UserError
from appliance.images.rollout import FAILURES
from appliance.journal.recorder import Journal
from appliance.journal.timeline import DISK, Boot
from appliance.network.interfaces import base_url
from appliance.registry.sql_errors import SqlError
from appliance.server.box import Box
from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import EntryStarted, GaveUp, ScriptServed
from services.menus.grub import render as render_grub
from services.menus.ipxe import render as render_ipxe
from services.menus.ipxe import render_autoexec, render_entry
from services.menus.menu import CommandLine, Dialect, Menu
from services.menus.pxelinux import render as render_pxelinux

_MOST_RECONSIDERED = 10_000

log = structlog.get_logger("box")


class BootScripts:
    """The boot scripts of all PCs. `address` is always the box's own address on the interface that was asked."""

    def __init__(self, box: Box, journal: Journal) -> None:
        self._box = box
        self._journal = journal
        self._password_attempts = PasswordAttempts(time.monotonic)
        self._missing: set[str] = set()
        self._reconsidered: dict[MacAddress, int] = {}

    def ipxe(self, address: IPv4Address, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
        """The boot script for iPXE: the menu, or what boots without one."""
        made = self._make(address, mac, peer)
        if isinstance(made, Ignore):
            return made
        menu, command_line = made
        self._started_without_menu(mac, menu)
        return render_ipxe(menu, self._own_url(address, mac), command_line, self._shim())

    def autoexec(self, address: IPv4Address, mac: MacAddress) -> str | Ignore:
        """The script with which iPXE begins. It holds no token, and asking for it is no sign of a power-on."""
        active = self._box.active_of(mac)
        if isinstance(active, Ignore):
            return active
        return render_autoexec(mac, f"{self._own_url(address, mac)}boot.ipxe")

    def loader(self, address: IPv4Address, dialect: Dialect, mac: MacAddress, peer: IPv4Address) -> str | Ignore:
        """The same for GRUB and PXELINUX, which read it over TFTP."""
        made = self._make(address, mac, peer, tcp=False)
        if isinstance(made, Ignore):
            return made
        menu, command_line = made
        self._started_without_menu(mac, menu)
        if dialect is Dialect.PXELINUX:
            return render_pxelinux(menu, command_line)
        return render_grub(menu, mac.bare, address, command_line, self._box.config.menu.grub_password)

    async def entry(
        self, address: IPv4Address, mac: MacAddress, peer: IPv4Address, key: str, password: str | None
    ) -> str | Ignore:
        """The script of the menu entry with this key; a locked entry needs its password."""
        made = self._make(address, mac, peer)
        if isinstance(made, Ignore):
            return made
        menu, command_line = made
        entry = next((entry for entry in menu.entries if entry.key == key), None)
        if entry is None:
            return Ignore(Reason.NO_FILE)
        if entry.locked:
            wanted = menu_password.parse(self._box.config.menu.password)
            refused = await self._password_attempts.check(mac, wanted, password)
            if refused is not None:
                return refused
        self._started(mac, entry.name)
        return render_entry(entry, self._own_url(address, mac), command_line, self._shim())

    def _make(
        self, address: IPv4Address, mac: MacAddress, peer: IPv4Address, *, tcp: bool = True
    ) -> tuple[Menu, CommandLine] | Ignore:
        """The menu of this PC, and its kernel command lines, with this boot's token. `tcp`: it is asked for over TCP.

        Records the stage "script", and uses up the entry of `boot next`.
        """
        box = self._box
        active = box.active_of(mac)
        if isinstance(active, Ignore):
            return active
        allowed = box.allowlist.decide(mac)
        range_settings = allowed.settings if allowed else BootSettings()
        box.script_fetched(ScriptServed(mac, range_settings.root or box.config.image.root), peer, tcp=tcp)
        boot = self._journal.boot(mac)
        assert boot is not None
        next_entry = self._next_entry(mac, boot.id)
        before = boot.returned
        if not next_entry and before and gives_up(before):
            next_entry = DISK
            if not boot.failure:
                self._box.emit(GaveUp(mac, before.times))
        elif before and before.times >= FAILURES:
            self._reconsider_release(boot, active)
        release = box.release_of(mac) or active
        outside = None if next_entry else box.outside(mac)
        names = (*box.config.menu.entries, range_settings.entry, next_entry)
        image = box.allowlist.image_of(mac)
        bootable = choices.find_bootable(box.config, release, names, active, image)
        why = outside.why if outside else ""
        decision = decide(box.config.menu, range_settings, next_entry, bootable, why)
        self._log_missing(decision.missing)
        live = box.live.words(box.config, box.allowlist, mac)
        command_line = partial(choices.command_line, box.config, address, mac, boot.token, range_settings.root, live)
        return decision.menu, command_line

    def _next_entry(self, mac: MacAddress, boot: int) -> str:
        """The entry that `boot next` asks for in this boot, or empty."""
        try:
            return self._box.next_boots.take(mac, boot)
        except (SqlError, UserError) as error:
            log.error("cannot read what `boot next` asks for; the PC boots as usual", mac=str(mac), error=str(error))
            return ""

    def _reconsider_release(self, boot: Boot, active: str) -> None:
        """A PC whose live system did not come up again and again may go back to the release before. Looked at once in a
        boot: it may fetch its script as often as it likes."""
        if self._reconsidered.get(boot.mac) == boot.id:
            return
        if len(self._reconsidered) >= _MOST_RECONSIDERED:
            self._reconsidered.clear()
        self._reconsidered[boot.mac] = boot.id
        try:
            self._journal.flush()  # the boots before are read from the registry
            went = self._box.releases.reconsider(
                boot, active, self._journal.now(), self._box.allowlist.image_of(boot.mac)
            )
        except (SqlError, UserError) as error:
            log.error("cannot see whether a PC should go back", mac=str(boot.mac), error=str(error))
            return
        if went:
            self._box.emit(went)

    def _started_without_menu(self, mac: MacAddress, menu: Menu) -> None:
        """Without a menu the PC starts its default. GRUB and PXELINUX do not tell what was chosen from a menu."""
        if menu.timeout == 0:
            self._started(mac, menu.default)

    def _started(self, mac: MacAddress, name: str) -> None:
        boot = self._journal.boot(mac)
        if boot is not None and boot.entry != name:
            self._box.emit(EntryStarted(mac, name))

    def _shim(self) -> str:
        return choices.kernel_shim(self._box.loaders)

    def _own_url(self, address: IPv4Address, mac: MacAddress) -> str:
        return f"{base_url(address, self._box.config.server.http_port)}/boot/{mac.bare}/"

    def _log_missing(self, missing: Iterable[str]) -> None:
        """Log each entry that menus lack once."""
        for line in missing:
            if line not in self._missing:
                self._missing.add(line)
                log.warning("the boot menu lacks an entry", entry=line)
