"""The boot menu that a PC would get now, without its secrets: for `menu show` and `boot next`. Changes nothing."""

from functools import partial
from ipaddress import IPv4Address

from appliance.allowlist import BootSettings
from appliance.boot import choices
from appliance.boot.menu import MenuDecision, decide
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.live.choice import LiveWords
from appliance.network.interfaces import base_url, interfaces
from image.names import DEFAULT
from image.release import ReleaseError, current
from services.ethernet import MacAddress
from services.menus import grub, ipxe, pxelinux
from services.menus.menu import CommandLine, Dialect, Menu

_HIDDEN = "(not-shown)"


def preview(
    config: Config, range_settings: BootSettings, next_entry: str, release: str = "", outside: str = ""
) -> MenuDecision:
    """The menu of a PC. `range_settings` are those of its range; `next_entry` is its entry of `boot next`, or empty;
    `release` is the one that it boots, if that is not the active one of its range's image; `outside` says why it is not
    to compute now, or is empty.

    Raises UserError when that image has no active release.
    """
    image = range_settings.image or DEFAULT
    try:
        active = current(config.images, image)
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    if active is None and image != DEFAULT:
        raise UserError(
            f"the image {image} has no active release, so its PCs boot nothing",
            f"build it: netboot-appliance image build {image}",
            code=1,
        )
    if active is None:
        raise UserError("no image is active, so nobody gets a menu", "build one: netboot-appliance image build", code=1)
    names = (*config.menu.entries, range_settings.entry, next_entry)
    bootable = choices.find_bootable(config, release or active.id, names, active.id, image)
    return decide(config.menu, range_settings, next_entry, bootable, outside)


def script(
    config: Config,
    range_settings: BootSettings,
    next_entry: str,
    mac: MacAddress,
    live: LiveWords,
    dialect: Dialect,
    release: str = "",
    outside: str = "",
) -> str:
    """The same menu as the boot loader of the PC would read it; `live` is what [live] says for it. Raises UserError
    also without an interface."""
    address = interfaces(config)[0].address.ip
    command_line = partial(choices.command_line, config, address, mac, _HIDDEN, range_settings.root, live)
    menu = preview(config, range_settings, next_entry, release, outside).menu
    return _render(config, menu, mac, address, dialect, command_line)


def _render(
    config: Config, menu: Menu, mac: MacAddress, address: IPv4Address, dialect: Dialect, command_line: CommandLine
) -> str:
    match dialect:
        case Dialect.IPXE:
            shim = choices.kernel_shim(choices.loaders(config))
            base = f"{base_url(address, config.server.http_port)}/boot/{mac.bare}/"
            return ipxe.render(menu, base, command_line, shim)
        case Dialect.GRUB:
            text = grub.render(menu, mac.bare, address, command_line, config.menu.grub_password)
            return text.replace(config.menu.grub_password, _HIDDEN) if config.menu.grub_password else text
        case Dialect.PXELINUX:
            return pxelinux.render(menu, command_line)
