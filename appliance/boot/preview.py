"""The boot menu that a PC would get now, without its secrets: for `menu show` and `boot next`. Changes nothing."""

from ipaddress import IPv4Address

from appliance.allowlist import BootSettings
from appliance.boot import choices
from appliance.boot.menu import MenuDecision, decide
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.network.interfaces import base_url, interfaces
from image.release import ReleaseError, current
from services.ethernet import MacAddress
from services.menus import grub, ipxe, pxelinux
from services.menus.menu import Dialect, LiveBoot, Menu

_NOWHERE = IPv4Address(0)  # nobody sees the addresses in the menu of `preview`
_HIDDEN = "(not-shown)"


def preview(config: Config, range_settings: BootSettings, next_entry: str, mac: MacAddress) -> MenuDecision:
    """The menu of a PC. `range_settings` are those of its range; `next_entry` is its entry of `boot next`, or empty.

    Raises UserError when no image is active.
    """
    return _decide(config, range_settings, next_entry, mac, _NOWHERE)


def script(config: Config, range_settings: BootSettings, next_entry: str, mac: MacAddress, dialect: Dialect) -> str:
    """The same menu as the boot loader of the PC would read it. Raises UserError also without an interface."""
    address = interfaces(config)[0].address.ip
    return _render(config, _decide(config, range_settings, next_entry, mac, address).menu, mac, address, dialect)


def _decide(
    config: Config, range_settings: BootSettings, next_entry: str, mac: MacAddress, address: IPv4Address
) -> MenuDecision:
    try:
        active = current(config.images)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    if active is None:
        raise UserError("no image is active, so nobody gets a menu", "build one: netboot-appliance image build", code=1)

    def live(release: str, rescue: bool) -> LiveBoot:
        return choices.live(config, address, mac, _HIDDEN, range_settings.root, release, rescue=rescue)

    names = (*config.menu.entries, range_settings.entry, next_entry)
    return decide(config.menu, range_settings, next_entry, choices.find_bootable(config, active.id, names), live)


def _render(config: Config, menu: Menu, mac: MacAddress, address: IPv4Address, dialect: Dialect) -> str:
    match dialect:
        case Dialect.IPXE:
            shim = choices.kernel_shim(choices.loaders(config))
            return ipxe.render(menu, f"{base_url(address, config.server.http_port)}/boot/{mac.bare}/", shim)
        case Dialect.GRUB:
            text = grub.render(menu, mac.bare, address, config.menu.grub_password)
            return text.replace(config.menu.grub_password, _HIDDEN) if config.menu.grub_password else text
        case Dialect.PXELINUX:
            return pxelinux.render(menu)
