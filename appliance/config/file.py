"""The configuration file: TOML -> a frozen, validated Config.

The file belongs to people: it is read here and never written. An unknown key, a wrong type or an invalid value is a
UserError that names the file and the line, and suggests what would be right (appliance/config/toml.py).
"""

import contextlib
import dataclasses
import errno
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal, get_type_hints

from appliance.config import projects, schedules, toml
from appliance.config.boinc import BoincSettings
from appliance.config.control import ControlSettings
from appliance.config.dhcp import DhcpSettings
from appliance.config.history import HistorySettings
from appliance.config.live import LiveSettings
from appliance.config.loaders import BootFiles
from appliance.config.menu import MenuSettings
from appliance.config.notify import NotifySettings
from appliance.config.projects import ManagerSettings, ProjectEntry, ProjectSettings
from appliance.config.schedules import ScheduleSettings
from appliance.config.tftp import TftpSettings
from appliance.config.wake import WakeSettings
from appliance.errors import UserError
from appliance.schedules.name import ScheduleName
from image.recipe import ImageRecipe
from image.signature import KeyRing
from services.boinc.accounts import AccountManager, address_in
from services.boinc.files import Proxy
from services.boinc.preferences import STANDARD
from services.ethernet import MacAddress
from services.linux import time_zone
from services.menus.ipxe import WORD
from services.nfs.apply import GANESHA_FILE, GANESHA_PID_FILE, KERNEL_FILE

DEFAULT_PATH = Path("/etc/netboot-appliance/config.toml")
ENVIRONMENT = "NETBOOT_APPLIANCE_CONFIG"
LARGEST = 1 << 20
"""Bytes of a configuration."""
_SNAPSHOT_MIRROR = re.compile(r"(?=.*\{archive\})(?=.*\{snapshot\})https?://[A-Za-z0-9._~:/@%+{}-]+")
SERVICE_GROUP = "netboot-appliance"
"""The group of the server's user under systemd; it must be able to read the file."""


@dataclass(frozen=True)
class ServerSettings:
    """[server]: where the box answers and where it keeps its data. No interfaces: the box picks one itself."""

    interfaces: tuple[str, ...] = ()
    data: Path = Path("/var/lib/netboot-appliance")
    http_port: int = 80

    def __post_init__(self) -> None:
        if not self.data.is_absolute() or not re.fullmatch(r"[A-Za-z0-9._/+-]+", str(self.data)):
            raise ValueError(
                "data: must be an absolute path of letters, digits and ._+- (it goes on a kernel command line)"
            )
        if not 0 < self.http_port < 65536:
            raise ValueError("http_port: must be from 1 to 65535")


@dataclass(frozen=True)
class NfsSettings:
    """[nfs]: how the live root and the state directories are exported. No networks: those of the interfaces.

    `others`: networks or addresses inside these that have exports which are not ours; all others are kept from the NFS
    ports. `routers`: ROUTER=MAC, for networks behind a router: the only MAC address that it has. One with several is
    named several times, first with the one that packets to it are to get. `state_limit` is how much each PC may keep
    on the server, in GB.
    """

    networks: tuple[IPv4Network, ...] = ()
    others: tuple[IPv4Network, ...] = ()
    routers: tuple[str, ...] = ()
    backend: Literal["auto", "kernel", "ganesha"] = "auto"
    exports_file: Path = KERNEL_FILE
    ganesha_config: Path = GANESHA_FILE
    ganesha_pid_file: Path = GANESHA_PID_FILE
    state_limit: int = 20

    def __post_init__(self) -> None:
        for text in self.routers:
            _router(text)
        if not 1 <= self.state_limit <= 10_000:
            raise ValueError("state_limit: must be from 1 to 10000 (GB for each PC)")

    @property
    def router_macs(self) -> dict[IPv4Address, tuple[MacAddress, ...]]:
        """The MAC addresses of each router in `routers`."""
        found: dict[IPv4Address, tuple[MacAddress, ...]] = {}
        for router, mac in map(_router, self.routers):
            found[router] = (*found.get(router, ()), mac)
        return found


def _router(text: str) -> tuple[IPv4Address, MacAddress]:
    address, _, mac = text.partition("=")
    try:
        return IPv4Address(address.strip()), MacAddress.parse(mac)
    except ValueError:
        raise ValueError(f'routers: {text!r}: write "10.0.0.1=52:54:00:aa:bb:cc"') from None


@dataclass(frozen=True)
class ImageSettings(ImageRecipe):
    """[image]: the recipe of the live system, how PCs without a setting of their own (`allow add --root`) get it, and
    additional arguments for its kernel. `keep`: how many of the newest releases `image prune` keeps.
    `require_signature`: a release becomes the active one only if a key that is trusted here has signed it.
    `snapshot_mirror`: the address of archives of one moment, with {archive} and {snapshot} in it (image/mirrors.py).
    `test` and `canary` are what `image update` does with a new release before all PCs get it: boot it in an emulated
    PC, and give it to these PCs first; empty: to all."""

    root: Literal["nfs", "http"] = "nfs"
    kernel_arguments: tuple[str, ...] = ()
    keep: int = 3
    require_signature: bool = False
    snapshot_mirror: str = ""
    test: bool = False
    canary: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.snapshot_mirror and not _SNAPSHOT_MIRROR.fullmatch(self.snapshot_mirror):
            raise ValueError(
                f"snapshot_mirror: {self.snapshot_mirror!r}: write"
                ' "http://mirror.example.org/archive/{archive}/{snapshot}"'
            )
        if self.snapshot and not self.snapshot_mirror:
            raise ValueError("snapshot: it needs snapshot_mirror, an address where old states of the archive are kept")
        if not 1 <= self.keep <= 1000:
            raise ValueError("keep: must be from 1 to 1000 releases")
        for argument in self.kernel_arguments:
            if not WORD.fullmatch(argument):
                raise ValueError(
                    f"kernel_arguments: {argument!r} cannot go into a boot script: one argument per string, no quotes"
                )

    @property
    def recipe(self) -> ImageRecipe:
        """The recipe alone: what a release is built from and remembered by."""
        return ImageRecipe(**{each.name: getattr(self, each.name) for each in dataclasses.fields(ImageRecipe)})


@dataclass(frozen=True)
class Config:
    """The whole configuration. `path` is the file it came from; `written` is False if there is no file, or none
    that can be read."""

    path: Path
    written: bool = True
    server: ServerSettings = field(default_factory=ServerSettings)
    dhcp: DhcpSettings = field(default_factory=DhcpSettings)
    tftp: TftpSettings = field(default_factory=TftpSettings)
    boot: BootFiles = field(default_factory=BootFiles)
    menu: MenuSettings = field(default_factory=MenuSettings)
    nfs: NfsSettings = field(default_factory=NfsSettings)
    project: ProjectSettings = field(default_factory=ProjectSettings)
    projects: tuple[ProjectEntry, ...] = ()
    account_manager: ManagerSettings = field(default_factory=ManagerSettings)
    boinc: BoincSettings = field(default_factory=BoincSettings)
    live: LiveSettings = field(default_factory=LiveSettings)
    schedules: Mapping[ScheduleName, ScheduleSettings] = field(default_factory=dict)
    wake: WakeSettings = field(default_factory=WakeSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    image: ImageSettings = field(default_factory=ImageSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    history: HistorySettings = field(default_factory=HistorySettings)

    @cached_property
    def images(self) -> Path:
        """The releases of the live system."""
        return self.server.data / "images"

    @cached_property
    def key_ring(self) -> KeyRing:
        """The keys that sign releases, or are trusted to."""
        return KeyRing(self.server.data / "image-keys", self.image.require_signature)

    @cached_property
    def state(self) -> Path:
        """The PCs' work: one directory per MAC address."""
        return self.server.data / "state"

    @cached_property
    def volumes(self) -> Path:
        """The file systems that hold the PCs' work, each in a file."""
        return self.server.data / "volumes"

    @cached_property
    def boot_root(self) -> Path:
        """The files that TFTP serves."""
        return self.server.data / "boot"

    @cached_property
    def all_projects(self) -> tuple[ProjectEntry, ...]:
        """The projects that PCs join; [project] is one that all of them do."""
        only = self.project
        return (ProjectEntry(only.url, only.account_key),) if only.url else self.projects

    @cached_property
    def manager(self) -> AccountManager | None:
        """The account manager that names the projects instead, or None."""
        return self.account_manager.manager

    @cached_property
    def joined(self) -> tuple[str, ...]:
        """The URLs of the projects, or that of the account manager; empty if the PCs boot and wait."""
        accounts = [entry.account for entry in self.all_projects]
        return tuple(dict.fromkeys(each.url for each in (*accounts, *([self.manager] if self.manager else ()))))

    def boinc_network(self, proxy: Proxy | None) -> str:
        """What the BOINC of a PC with this proxy may reach, for the kernel command line: "all", or "internet" and
        exceptions.

        A project's server, an account manager and the proxy are among them if they are written as addresses. A name
        does not count: its owner decides what it resolves to, and so could open any address of the local network.
        """
        if self.boinc.network == "all":
            return "all"
        opened = [*map(address_in, self.joined), None if proxy is None else proxy.address]
        return ",".join(dict.fromkeys(("internet", *map(str, filter(None, opened)), *map(str, self.boinc.lan))))

    @property
    def secret(self) -> bool:
        """Whether the file holds anything that not everybody may read."""
        proxies = "@" in self.boinc.proxy or self.live.secret
        return bool(self.joined or self.menu.password or proxies or self.notify.secret or self.wake.secret)

    @cached_property
    def time_zone(self) -> str:
        """The time zone of the PCs without one of their own, or empty for UTC: that of the server when the
        configuration was loaded."""
        return self.live.time_zone or time_zone.of_this_host()

    def schedule(self, name: str) -> ScheduleSettings | None:
        """The schedule of this name, or None."""
        return next((settings for known, settings in self.schedules.items() if known == name), None)

    @cached_property
    def registry(self) -> Path:
        """The program's own database, in a directory that belongs to the server's user."""
        return self.server.data / "registry" / "registry.sqlite3"


def locate(option: Path | None) -> Path:
    """The configuration file to use: that of the option, else of the environment, else the default."""
    return option or Path(os.environ.get(ENVIRONMENT) or DEFAULT_PATH)


def load(path: Path) -> Config:
    """Read and validate the file; raises UserError that names the line.

    The file may be missing at the default path only.
    """
    try:
        text = _text(path)
    except FileNotFoundError:
        if path == DEFAULT_PATH:
            return Config(path, written=False)
        raise UserError(
            f"there is no configuration file {path}",
            "write one with: netboot-appliance config init (or name another with --config)",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        hint = f"run with sudo; the service needs: chgrp {SERVICE_GROUP} {path}; chmod 640 {path}"
        raise UserError(
            f"cannot read {path}: {reason}",
            hint if isinstance(error, PermissionError) else "check what it is: file " + str(path),
        ) from None
    return parse(text, path)


def _text(path: Path) -> str:
    """The file's text; raises OSError and UnicodeDecodeError."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(errno.EFBIG, f"a configuration has {LARGEST:,} bytes at most")
    return content.decode("utf-8")


def tolerant(path: Path) -> Config:
    """The configuration. If it is broken: just its data directory, by which the running server can be found."""
    try:
        return load(path)
    except UserError:
        return Config(path, written=False, server=ServerSettings(data=_data(path)))


def _data(path: Path) -> Path:
    """The data directory, read from its line alone; the default one if that fails."""
    with contextlib.suppress(OSError, ValueError, LookupError, RecursionError):
        text = _text(path)
        if line := toml.line_of(text, "server", "data"):
            return ServerSettings(data=Path(str(tomllib.loads(text.splitlines()[line - 1])["data"]))).data
    return ServerSettings().data


def parse(text: str, path: Path) -> Config:
    """The Config that `text` describes; raises UserError that names the line."""
    sections = {name: kind for name, kind in get_type_hints(Config).items() if name not in ("path", "written")}
    config = Config(path, **toml.read(text, path, sections))
    wrong, hint = projects.check(config.project, config.projects, config.account_manager)
    if wrong:
        raise UserError(f"{path}: {wrong}", hint)
    if len(config.schedules) > schedules.MOST_SCHEDULES:
        most = schedules.MOST_SCHEDULES
        raise UserError(f"{path}: {len(config.schedules)} schedules: at most {most}", "several ranges can have one")
    return config


def redacted(config: Config) -> dict[str, Any]:
    """The effective configuration as plain values, without keys, passwords and their hashes."""
    plain = _plain(config)
    plain["path"] = str(config.path) if plain.pop("written") else None
    plain["notify"]["addresses"] = [address.shown for address in config.notify.targets]
    plain["boinc"]["preferences"] = _plain(config.boinc.preferences.over(STANDARD))
    for exception in (*plain["boinc"]["exceptions"], plain["live"], *plain["live"]["exceptions"]):
        for name in [name for name, value in exception.items() if value is None]:
            del exception[name]
    for section, keys in (
        (plain["project"], ("account_key",)),
        *((each, ("account_key",)) for each in plain["projects"]),
        (plain["account_manager"], ("password", "login_hash")),
        (plain["menu"], ("password", "grub_password")),
        (plain["boinc"], ("proxy",) if "@" in config.boinc.proxy else ()),
        *((each, ("proxy",)) for each in (plain["live"], *plain["live"]["exceptions"]) if "@" in each.get("proxy", "")),
        *((each, ("password",)) for each in plain["wake"]["passwords"]),
        (plain["notify"]["mail"], ("password",)),
    ):
        for key in keys:
            if section[key]:
                section[key] = "(set, not shown)"
    return dict(plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name.rstrip("_"): _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(element) for element in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
