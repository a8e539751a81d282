"""Where a valid configuration falls short on this machine: the warnings of `config check`."""

import grp
from collections.abc import Iterator, Sequence

from appliance.allowlist import Allowlist
from appliance.boot.choices import boot_files, find_bootable
from appliance.config.file import SERVICE_GROUP, Config
from appliance.config.images import buildable
from appliance.config.loaders import dialect
from appliance.config.menu import release_of
from appliance.config.selection import mac_range, names
from appliance.errors import UserError
from appliance.images.canary_choice import NOTHING, can_be_tried, choose
from image.bootfiles import BootFileError, original
from services.ethernet import MacAddress
from services.foreign_text import printable
from services.menus.menu import Dialect

USB_SHIM = "ipxe-shimx64.efi"
"""It starts the iPXE with drivers of its own. From 2.0 on that one takes the USB controllers over, and firmware whose
keyboard driver does not bind again has no keyboard (ipxe/ipxe#1643, #1685)."""


def warnings(found: Config) -> Iterator[str]:
    """One line for each thing that needs attention; the configuration file exists."""
    state = found.path.stat()
    if found.secret and state.st_mode & 0o007:
        yield f"everybody on this machine can read its account key and passwords: chmod o= {found.path}"
    group = service_group()
    if group is not None and not (state.st_mode & 0o004 or (state.st_mode & 0o040 and state.st_gid == group)):
        yield f"the service cannot read it: chgrp {SERVICE_GROUP} {found.path}; chmod 640 {found.path}"
    for account in (entry.account for entry in found.all_projects):
        if not account.usual:
            yield (
                f"the account key for {account.url} is not of the usual form, 32 hexadecimal digits, perhaps with a"
                " number and _ before them: netboot-appliance config check --online asks the project"
            )
    for name in boot_files(found):
        try:
            original(name, found.boot.names, found.boot.directory, {})
        except BootFileError as error:
            yield f"{error}; {error.hint}"
    if (folder := found.boot.raspberry_pi) is not None and not folder.is_dir():
        yield f"there is no folder {folder}; put the boot files of your Raspberry Pis there, readable by everybody"
    yield from menu_warnings(found)


def menu_warnings(found: Config) -> Iterator[str]:
    """The same for [menu]."""
    menu = found.menu
    releases = find_bootable(found, "", menu.entries, "").releases
    for name in menu.entries:
        if (release := release_of(name)) and release not in releases:
            yield f"[menu] {name} is left out: there is no such release (netboot-appliance image list)"
    if "rescue" in menu.entries and "rescue" not in menu.locked:
        yield "[menu] rescue is not locked: everybody at a PC gets a root shell there"
    if menu.timeout and USB_SHIM in found.boot.names:
        yield (
            f"[menu] {USB_SHIM} takes over USB: under AMI's firmware no key works in its menus, only the countdown;"
            " snponly-shimx64.efi leaves USB alone"
        )
    by_grub = any(dialect(name) is Dialect.GRUB for name in found.boot.names)
    if menu.locked and by_grub and not menu.grub_password:
        yield "[menu] grub_password is empty: PCs that boot with GRUB do not show the locked entries"


def for_nobody(found: Config, allowlist: Allowlist) -> Iterator[str]:
    """One line for each range and label in a `for` of which no PC is allowed."""
    labels = {entry.label for entry in allowlist.entries}
    parts = [("[[projects]]", each.for_) for each in found.projects]
    parts += [("[[boinc.exceptions]]", each.for_) for each in found.boinc.exceptions]
    parts += [("[[live.exceptions]]", each.for_) for each in found.live.exceptions]
    for name, texts in parts:
        for text in texts:
            span = mac_range(text)
            if span is None and not any(names(text, label) for label in labels):
                yield f'{name} for "{printable(text)}": nobody in the allowlist has that label'
            elif span is not None and not any(
                entry.range.first <= span.last and span.first <= entry.range.last for entry in allowlist.entries
            ):
                yield f'{name} for "{printable(text)}": no PC of that range is allowed'


def canary_for_nobody(found: Config, allowlist: Allowlist, booted: Sequence[MacAddress]) -> Iterator[str]:
    """One line for each image whose updates would stop, because [image] canary means nobody who boots it. `booted` are
    the PCs that have booted here."""
    for image in buildable(found) if found.image.canary else ():
        if can_be_tried(image, allowlist, booted):
            try:
                choose([found.image.canary], allowlist, booted, image)
            except UserError as error:
                what = error.message.removesuffix(f"; {NOTHING}")
                yield f"[image] canary: {what}; image update would stop there: {error.hint}"


def lost_schedules(found: Config, allowlist: Allowlist) -> list[str]:
    """The schedules that ranges have and the configuration does not, sorted."""
    return sorted(set(allowlist.schedules) - {"", *found.schedules})


def service_group() -> int | None:
    """The number of the server's group, or None where it has none."""
    try:
        return grp.getgrnam(SERVICE_GROUP).gr_gid
    except KeyError:
        return None
