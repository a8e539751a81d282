"""What this box can boot, and how: the releases and programs on its disk, and the live system's command line.

Reads the disk each time, because the CLI may change it meanwhile. menu.py decides which of them a PC is offered.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from appliance.boot.menu import RESCUE, Bootable
from appliance.boot.policy import reporting_token
from appliance.config.file import Config
from appliance.config.loaders import SIGNED_LOADER
from appliance.config.menu import release_of
from appliance.live.choice import LiveWords
from image.bootfiles import MEMTEST, PACKAGED, has_memtest, is_ipxe_shim, offered, with_followers
from image.commandline import HttpRoot, NfsRoot, Root, render
from image.names import DEFAULT
from image.release import ReleaseError, has_microcode, previous, read
from services.dhcp.machines import Machine
from services.ethernet import MacAddress
from services.menus.menu import LiveBoot


def find_bootable(config: Config, release: str, names: tuple[str, ...], active: str, image: str = DEFAULT) -> Bootable:
    """Which of the entries `names` can be booted by a PC that boots `release`, where `active` is the active one of its
    `image`. A broken release cannot. Looks only at the releases named."""
    wanted = {named for name in names if (named := release_of(name))}
    before = _previous(config, release, active, image) if "previous" in names else None
    whole = frozenset(named for named in wanted if _is_whole(config, named))
    memtest = "memtest" in names and has_memtest(config.boot_root)
    microcode = frozenset(each for each in {release, before, *whole} if each and has_microcode(config.images, each))
    return Bootable(release, before, whole, memtest, microcode)


def _previous(config: Config, release: str, active: str, image: str) -> str | None:
    """What was before the release of this PC: for one that has a canary, the active one."""
    try:
        found = previous(config.images, image)
    except ReleaseError:
        found = None
    before = found.id if found else None
    return before if release in (active, before) else active


def _is_whole(config: Config, release: str) -> bool:
    try:
        read(config.images, release)
    except ReleaseError:
        return False
    return True


def boot_files(config: Config) -> tuple[str, ...]:
    """The names of all files that the configuration wants served to boot loaders and firmware."""
    return with_followers((*config.boot.names, *(MEMTEST if "memtest" in config.menu.entries else ())))


def release_of_loaders(active: Mapping[str, str]) -> str | None:
    """The release whose boot loaders all PCs get, where `active` has the active one of each image: the default image's,
    or without that another one's."""
    return active.get(DEFAULT) or next(iter(active.values()), None)


def debians_files(config: Config, release: str | None) -> dict[str, Path]:
    """The boot files that Debian provides for this release (image/bootfiles.py, `offered`), by their names."""
    return offered(config.images / release if release else None)


def loaders(config: Config) -> dict[Machine, str]:
    """The boot loaders that are configured, less what the image lacks: not every Debian has one for ARM64 machines."""
    named = config.boot.loaders.by_machine
    lacking = {
        name for name, file in PACKAGED.items() if not file.everywhere and not (config.boot_root / name).is_file()
    }
    return {machine: name for machine, name in named.items() if name not in lacking}


def kernel_shim(loaders: Mapping[Machine, str]) -> str:
    """The path of the shim that vouches for Debian's kernel in scripts for iPXE; "" where iPXE is not signed itself, so
    that there is no Secure Boot. `loaders` are those in place."""
    return f"loader/{SIGNED_LOADER}" if is_ipxe_shim(loaders.get(Machine.UEFI_X64, "")) else ""


def command_line(
    config: Config, address: IPv4Address, mac: MacAddress, token: str, root: str, live: LiveWords, boot: LiveBoot
) -> str:
    """The command line of a live system: from the box's `address`, with the `token` of the PC's boot; `root` is the
    PC's range's, or empty; `live` what [live] says for it.

    A rescue starts a root shell instead of systemd. It starts no BOINC, and its token is good for reports only. When
    the shell ends, the kernel panics and restarts the PC (image/commandline.py).
    """
    return render(
        server=address,
        root=_root(config, root or config.image.root, boot.release),
        release=boot.release,
        mac=mac.bare,
        state=f"{config.state}/{mac.bare}",
        token=reporting_token(token) if boot.rescue else token,
        port=config.server.http_port,
        network=config.boinc_network(live.proxy),
        zone=live.zone,
        name=live.name,
        live=live.fetch and not boot.rescue,
        ntp=config.dhcp.ntp,
        extra=(*config.image.kernel_arguments, *((RESCUE,) if boot.rescue else ())),
    )


def _root(config: Config, root: str, release: str) -> Root:
    """How the live system of a release gets to a PC."""
    if root != "http":
        return NfsRoot(str(config.images))
    found = read(config.images, release)
    layers = {name.removeprefix("live/"): found.files[name] for name in found.layers}
    return HttpRoot(
        sum(file.size for file in layers.values()), tuple((name, file.sha256) for name, file in layers.items())
    )
