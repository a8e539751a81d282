"""The configuration file: TOML -> a frozen, validated Config.

The file belongs to people: it is read here and never written. An unknown key, a wrong type or an impossible value is a
UserError that names the file, the line and the nearest thing that would have been right.
"""

import contextlib
import dataclasses
import os
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal, get_type_hints

from appliance.config import toml
from appliance.config.dhcp import DhcpSettings
from appliance.config.loaders import BootFiles
from appliance.config.menu import MenuSettings
from appliance.config.tftp import TftpSettings
from appliance.errors import UserError
from image.recipe import ImageRecipe
from services.boinc.files import Account, Preferences
from services.menus.ipxe import WORD
from services.nfs.apply import GANESHA_FILE, GANESHA_PID_FILE, KERNEL_FILE

DEFAULT_PATH = Path("/etc/netboot-appliance/config.toml")
ENVIRONMENT = "NETBOOT_APPLIANCE_CONFIG"
SERVICE_GROUP = "netboot-appliance"
"""The group of the server's user under systemd, which has to read the file."""


@dataclass(frozen=True)
class ServerSettings:
    """[server]: where the box answers and where it keeps what it owns. No interfaces = the one that is found."""

    interfaces: tuple[str, ...] = ()
    data: Path = Path("/var/lib/netboot-appliance")
    http_port: int = 80

    def __post_init__(self) -> None:
        if not self.data.is_absolute() or not re.fullmatch(r"[A-Za-z0-9._/+-]+", str(self.data)):
            raise ValueError("data: an absolute path of letters, digits and ._+- (it goes on a kernel command line)")
        if not 0 < self.http_port < 65536:
            raise ValueError("http_port: a number from 1 to 65535")


@dataclass(frozen=True)
class NfsSettings:
    """[nfs]: how the live root and the state directories are exported. No networks = those of the interfaces."""

    networks: tuple[IPv4Network, ...] = ()
    backend: Literal["auto", "kernel", "ganesha"] = "auto"
    exports_file: Path = KERNEL_FILE
    ganesha_config: Path = GANESHA_FILE
    ganesha_pid_file: Path = GANESHA_PID_FILE


@dataclass(frozen=True)
class ProjectSettings:
    """[project]: the BOINC project every PC joins. Both keys, or none (then the PCs boot and wait)."""

    url: str = ""
    account_key: str = ""

    def __post_init__(self) -> None:
        if bool(self.url) != bool(self.account_key):
            raise ValueError("url and account_key belong together: give both or neither")
        if self.url:
            Account(self.url, self.account_key)

    @property
    def account(self) -> Account | None:
        """The account to attach to, or None while no project is configured."""
        return Account(self.url, self.account_key) if self.url else None


@dataclass(frozen=True)
class BoincSettings:
    """[boinc]: who may manage the PCs' clients, and when and how much they compute."""

    management_hosts: tuple[IPv4Address, ...] = ()
    preferences: Preferences = field(default_factory=Preferences)


@dataclass(frozen=True)
class ImageSettings(ImageRecipe):
    """[image]: the recipe of the live system, how PCs without a setting of their own (`allow add --root`) get it, and
    what its kernel is told beside what the box says."""

    root: Literal["nfs", "http"] = "nfs"
    kernel_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for argument in self.kernel_arguments:
            if not WORD.fullmatch(argument):
                raise ValueError(
                    f"kernel_arguments: {argument!r} cannot stand in a boot script: one argument a string, no quotes"
                )

    @property
    def recipe(self) -> ImageRecipe:
        """The recipe alone: what a release is built from and remembered by."""
        return ImageRecipe(**{each.name: getattr(self, each.name) for each in dataclasses.fields(ImageRecipe)})


@dataclass(frozen=True)
class Config:
    """The whole configuration. `path` is the file it came from; `written` is False where there is no file."""

    path: Path
    written: bool = True
    server: ServerSettings = field(default_factory=ServerSettings)
    dhcp: DhcpSettings = field(default_factory=DhcpSettings)
    tftp: TftpSettings = field(default_factory=TftpSettings)
    boot: BootFiles = field(default_factory=BootFiles)
    menu: MenuSettings = field(default_factory=MenuSettings)
    nfs: NfsSettings = field(default_factory=NfsSettings)
    project: ProjectSettings = field(default_factory=ProjectSettings)
    boinc: BoincSettings = field(default_factory=BoincSettings)
    image: ImageSettings = field(default_factory=ImageSettings)

    @cached_property
    def images(self) -> Path:
        """The releases of the live system."""
        return self.server.data / "images"

    @cached_property
    def state(self) -> Path:
        """One directory per MAC: the PCs' work."""
        return self.server.data / "state"

    @cached_property
    def boot_root(self) -> Path:
        """What TFTP serves."""
        return self.server.data / "boot"

    @cached_property
    def registry(self) -> Path:
        """The program's own database, in the directory that belongs to the user of the server."""
        return self.server.data / "registry" / "registry.sqlite3"


def locate(option: Path | None) -> Path:
    """The configuration file to use: the option, else the environment, else the default."""
    return option or Path(os.environ.get(ENVIRONMENT) or DEFAULT_PATH)


def load(path: Path) -> Config:
    """Read and validate the file; raises UserError naming the place.

    At the default place there need not be a file yet; one that somebody named has to be there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path == DEFAULT_PATH:
            return Config(path, written=False)
        raise UserError(
            f"there is no configuration file {path}",
            "write one with: netboot-appliance config init (or name another with --config)",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        hint = f"run with sudo; the service needs: chgrp {SERVICE_GROUP} {path}; chmod 640 {path}"
        raise UserError(
            f"cannot read {path}: {reason}",
            hint if isinstance(error, PermissionError) else "look at it: file " + str(path),
        ) from None
    return parse(text, path)


def tolerant(path: Path) -> Config:
    """The configuration; of a broken one the data directory alone, which leads to the server that runs with it."""
    try:
        return load(path)
    except UserError:
        return Config(path, server=ServerSettings(data=_data(path)))


def _data(path: Path) -> Path:
    """The data directory, read from that line alone; the default one where this cannot be told."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        text = path.read_text(encoding="utf-8")
        if line := toml.line_of(text, "server", "data"):
            return ServerSettings(data=Path(str(tomllib.loads(text.splitlines()[line - 1])["data"]))).data
    return ServerSettings().data


def parse(text: str, path: Path) -> Config:
    """The Config that `text` describes; raises UserError naming the line."""
    sections = {name: kind for name, kind in get_type_hints(Config).items() if name not in ("path", "written")}
    return Config(path, **toml.read(text, path, sections))


def redacted(config: Config) -> dict[str, Any]:
    """The effective configuration as plain values, for showing; without the account key and the hashes of passwords."""
    plain = _plain(config)
    plain["path"] = str(config.path) if plain.pop("written") else None
    if config.project.account_key:
        plain["project"]["account_key"] = "(set, not shown)"
    for key in ("password", "grub_password"):
        if plain["menu"][key]:
            plain["menu"][key] = "(set, not shown)"
    return dict(plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(element) for element in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
