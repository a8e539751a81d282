"""The configuration file: what is read, and what each mistake is answered with."""

import contextlib
import os
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.config.file import Config, load, locate, parse, redacted, tolerant
from appliance.config.template import TEMPLATE
from appliance.errors import UserError
from image.recipe import ImageRecipe
from tests.unit.ownership import OTHER_USER, ROOT, open_to_others

HERE = Path("/etc/c.toml")
SMALLEST = '[server]\ninterfaces = ["eth0"]\n'


def test_the_smallest_configuration() -> None:
    config = parse(SMALLEST, HERE)
    assert config.server.interfaces == ("eth0",)
    assert config.images == Path("/var/lib/netboot-appliance/images")
    assert config.project.account is None
    assert config.nfs.backend == "auto"


def test_every_section() -> None:
    config = parse(
        SMALLEST
        + """
        [nfs]
        networks = ["10.0.0.0/24"]
        backend = "kernel"
        [project]
        url = "https://project.example.org/"
        account_key = "1_abc"
        [dhcp]
        mode = "off"
        [tftp]
        ports = "session"
        [boinc]
        management_hosts = ["10.0.0.9"]
        lan = ["10.0.0.8", "10.1.0.0/16"]
        [boinc.preferences]
        max_ncpus_pct = 50
        [image]
        packages = ["htop"]
        kernel_arguments = ["console=ttyS0"]
        [live]
        time_zone = "Asia/Kolkata"
        """,
        HERE,
    )
    assert config.dhcp.mode == "off"
    assert config.tftp.ports == "session"
    assert config.nfs.networks == (IPv4Network("10.0.0.0/24"),)
    assert config.boinc.management_hosts == (IPv4Address("10.0.0.9"),)
    assert config.boinc.lan == (IPv4Network("10.0.0.8/32"), IPv4Network("10.1.0.0/16"))
    assert config.boinc.preferences.max_ncpus_pct == 50.0
    assert config.image.recipe.packages == ("htop",)
    assert config.time_zone == "Asia/Kolkata"
    assert config.project.account is not None
    assert "1_abc" not in str(redacted(config))


def test_the_pcs_have_the_time_zone_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Moscow")
    assert parse(SMALLEST, HERE).time_zone == "Europe/Moscow"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            '[server]\ninterfces = ["eth0"]',
            "/etc/c.toml:2: unknown key 'interfces' in [server]",
            "did you mean interfaces?",
        ),
        (SMALLEST + "[sever]\nx = 1", "/etc/c.toml:3: unknown section 'sever'", "did you mean server?"),
        (SMALLEST + '[nfs]\nnetworks = ["10.0.0.1/24"]', "/etc/c.toml:4: [nfs] networks", "host bits set"),
        (SMALLEST + '[boinc]\nnetwork = "lan"', "/etc/c.toml:4: [boinc] network", "one of internet, all"),
        (SMALLEST + '[boinc]\nlan = ["10.0.0.9/24"]', "/etc/c.toml:4: [boinc] lan", "host bits set"),
        (SMALLEST + '[boinc]\nnetwork = "all"\nlan = ["10.0.0.9"]', "/etc/c.toml:5: [boinc] lan", "open already"),
        (SMALLEST + f"[boinc]\nlan = {['10.0.0.9'] * 17}", "/etc/c.toml:4: [boinc] lan: 17 networks", "room for 16"),
        (SMALLEST + '[nfs]\nbackend = "samba"', "/etc/c.toml:4: [nfs] backend", "one of auto, kernel, ganesha"),
        (SMALLEST + '[dhcp]\nmode = "relay"', "/etc/c.toml:4: [dhcp] mode", "one of proxy, server, off"),
        (
            SMALLEST + '[live]\ntime_zone = "Europe/Berlino"',
            "/etc/c.toml:4: [live] time_zone: this server knows no zone 'Europe/Berlino'",
            "timedatectl list-timezones",
        ),
        (SMALLEST + "[tftp]\nlargest_block = 511", "/etc/c.toml:4: [tftp] largest_block", "from 512 to 65464"),
        (SMALLEST + '[tftp]\nports = "one"', "/etc/c.toml:4: [tftp] ports", "one of shared, session"),
        (SMALLEST + '[dhcp]\nmode = "server"', "/etc/c.toml:4: [dhcp] mode", "needs addresses, such as pool ="),
        (
            SMALLEST + '[dhcp]\npool = "10.0.0.9"\nlease_time = 5',
            "/etc/c.toml:5: [dhcp] lease_time",
            "to 2678400 seconds",
        ),
        (SMALLEST + "[dhcp]\npool = 5", "/etc/c.toml:4: [dhcp] pool = 5", "text in quotes"),
        (
            SMALLEST + '[dhcp]\npool = "10.0.0.0/24"',
            "/etc/c.toml:4: [dhcp] pool: '10.0.0.0/24' is not a range of addresses",
            "",
        ),
        (SMALLEST + '[dhcp]\npool = ["10.0.0.1-10.0.0.9", "10.0.0.9"]', "/etc/c.toml:4: [dhcp] pool", "overlaps"),
        (SMALLEST + '[dhcp]\npool = "10.0.0.0-10.0.255.255"', "/etc/c.toml:4: [dhcp] pool: at most 16,384", ""),
        (SMALLEST + '[dhcp]\nrouter = ["gw"]', "/etc/c.toml:4: [dhcp] router: 'gw' is not an address", "10.88.0.1/24"),
        (SMALLEST + '[dhcp]\nstatic = ["10.0.0.9"]', "/etc/c.toml:4: [dhcp] static", "write it as 52:54:00"),
        (
            SMALLEST + '[dhcp]\nstatic = ["52:54:00:00:00:01=10.0.0.9", "52-54-00-00-00-01=10.0.0.8"]',
            "/etc/c.toml:4: [dhcp] static: the MAC address 52:54:00:00:00:01 appears twice",
            "",
        ),
        (
            SMALLEST + '[dhcp]\nstatic = ["52:54:00:00:00:01=10.0.0.9", "52:54:00:00:00:02=10.0.0.9"]',
            "/etc/c.toml:4: [dhcp] static: the address 10.0.0.9 appears twice",
            "",
        ),
        (SMALLEST + f"[dhcp]\ndns = {['10.0.0.3'] * 5}", "/etc/c.toml:4: [dhcp] dns: at most 4", ""),
        (SMALLEST + '[nfs]\nnetworks = "10.0.0.0/24"', "/etc/c.toml:4: [nfs] networks", "write a list"),
        (SMALLEST + '[menu]\nentries = ["boinc", "disk"]', "/etc/c.toml:4: [menu] entries: 'disk' is not an entry", ""),
        (
            SMALLEST + '[menu]\nentries = ["boinc", "boinc"]',
            "/etc/c.toml:4: [menu] entries: an entry appears twice",
            "",
        ),
        (SMALLEST + "[menu]\nentries = []", "/etc/c.toml:3: [menu] default: 'boinc' is not one of the entries", ""),
        (SMALLEST + '[menu]\ndefault = "image:1"', "/etc/c.toml:4: [menu] default: 'image:1' is not an entry", ""),
        (SMALLEST + '[menu]\ndefault = "rescue"', "/etc/c.toml:4: [menu] default: 'rescue' is not one of", ""),
        (SMALLEST + "[menu]\ntimeout = -1", "/etc/c.toml:4: [menu] timeout: must be from 0", ""),
        (SMALLEST + '[menu]\nlocked = ["rescue"]', "/etc/c.toml:4: [menu] locked: 'rescue' is not one of", ""),
        (SMALLEST + '[menu]\nlocked = ["local"]', "/etc/c.toml:4: [menu] locked: needs a password", ""),
        (SMALLEST + '[menu]\nlocked = ["boinc"]', "[menu] default: 'boinc' is locked", ""),
        (SMALLEST + '[menu]\npassword = "secret"', "/etc/c.toml:4: [menu] password: not a password hash", ""),
        (SMALLEST + '[menu]\ngrub_password = "secret"', "/etc/c.toml:4: [menu] grub_password: not a GRUB", ""),
        (SMALLEST + "http_port = 80000", "/etc/c.toml:3: [server] http_port", "1 to 65535"),
        (SMALLEST + 'http_port = "80"', "/etc/c.toml:3: [server] http_port", "whole number"),
        (SMALLEST + "http_port = true", "/etc/c.toml:3: [server] http_port", "whole number"),
        (SMALLEST + 'data = "var lib"', "/etc/c.toml:3: [server] data", "absolute path"),
        (SMALLEST + '[project]\nurl = "https://a.example.org/"', "[project] url and account_key belong together", ""),
        (
            SMALLEST + '[project]\nurl = "https://a.example.org/p/"\naccount_key = "my-password!"',
            "[project] account_key: a key has only digits, letters and _, so this looks like a password; log in at the"
            " project's website and copy the weak account key from https://a.example.org/p/weak_auth.php",
            "",
        ),
        (SMALLEST + "project = 1", "/etc/c.toml:3: unknown key 'project' in [server]", ""),
        ("project = 1\n" + SMALLEST, "project is a section", ""),
        (SMALLEST + "[boinc.preferences]\nmax_ncpus_pct = 500", "/etc/c.toml:4: [boinc.preferences] max_ncpus_pct", ""),
        (SMALLEST + "[boinc.preferences]\nmax_cpus = 5", "/etc/c.toml:4: unknown key 'max_cpus'", "max_"),
        (
            SMALLEST + '[image]\nkernel_arguments = ["a b"]',
            "/etc/c.toml:4: [image] kernel_arguments",
            "one argument per string",
        ),
        (SMALLEST + '[image]\nkernel_arguments = ["a=$b"]', "/etc/c.toml:4: [image] kernel_arguments", "boot script"),
        (SMALLEST + '[boinc]\nmanagement_hosts = ["::1", "x"]', '["::1", "x"]: \'::1\' is not an IPv4 address', ""),
        (
            SMALLEST + '[image]\nfirmware = "all"\nkernel = "rt"',
            "/etc/c.toml:5: [image] kernel: 'rt' is not a kernel",
            "",
        ),
        (
            SMALLEST + '[image]\nfirmware = "wifi"',
            '/etc/c.toml:4: [image] firmware = "wifi"',
            "must be one of network, all, none",
        ),
        (
            SMALLEST + '[image]\nsnapshot = "20261101T000000Z"',
            "/etc/c.toml:4: [image] snapshot: it needs snapshot_mirror",
            "old states of the archive",
        ),
        (SMALLEST + '[image]\nsnapshot = "2026-11-01"', "/etc/c.toml:4: [image] snapshot", "20261101T000000Z"),
        (
            SMALLEST + '[image]\nsnapshot_mirror = "http://mirror.example.org/{archive}"',
            "/etc/c.toml:4: [image] snapshot_mirror",
            "{archive}/{snapshot}",
        ),
        (SMALLEST + '[image]\ndistribution = "sid"', "/etc/c.toml:4: [image] distribution: 'sid'", "trixie, bookworm"),
        ("[server\n", "/etc/c.toml: not valid TOML", ""),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_hint(text: str, message: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, HERE)
    assert message in caught.value.message
    assert hint in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.code == 2


def test_every_commented_line_of_the_template_is_valid() -> None:
    text = TEMPLATE.format(interface="eth0", address="10.0.0.1/24", network="10.0.0.0/24")
    lines = [re.sub(r"^# (\w+ = )", r"\1", line) for line in text.splitlines()]
    config = parse("\n".join(lines), HERE)
    assert config.project.account is not None
    assert config.nfs.networks == (IPv4Network("10.0.0.0/24"),)
    defaults = parse(text, HERE)
    assert (config.server, config.image, config.boinc.management_hosts) == (defaults.server, defaults.image, ())


@pytest.mark.parametrize(("written", "meant"), [("true", "all"), ("false", "none"), ('"network"', "network")])
def test_firmware_as_older_versions_wrote_it(written: str, meant: str) -> None:
    config = parse(f"[image]\nfirmware = {written}\n", HERE)
    assert config.image.recipe == ImageRecipe(firmware=config.image.firmware)
    assert redacted(config)["image"]["firmware"] == meant


@pytest.mark.parametrize("text", ["", "# nothing\n", "[server]\n", "[server]\ninterfaces = []\n"])
def test_what_the_file_leaves_out_is_default(text: str) -> None:
    assert parse(text, HERE) == Config(HERE)


def test_the_file_may_be_missing_at_the_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.toml"
    monkeypatch.setattr("appliance.config.file.DEFAULT_PATH", path)
    assert load(path) == Config(path, written=False)
    assert redacted(load(path))["path"] is None
    path.write_text("")
    assert load(path) == Config(path)
    assert redacted(load(path))["path"] == str(path)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('[server]\ndata = "/srv/box"\n[project]\nurl = 1\n', "/srv/box"),
        ("[server]\n  data = '/srv/box' # here\n[project\n", "/srv/box"),
        ('[other]\ndata = "/srv/box"\n', "/var/lib/netboot-appliance"),
        ('[server]\ndata = "relative"\n', "/var/lib/netboot-appliance"),
        ('[server]\ndata = "/srv', "/var/lib/netboot-appliance"),
        ("[server]\ndata = 5\n", "/var/lib/netboot-appliance"),
        ("\0", "/var/lib/netboot-appliance"),
        (None, "/var/lib/netboot-appliance"),
    ],
)
def test_a_broken_file_still_leads_to_the_data(tmp_path: Path, text: str | None, data: str) -> None:
    path = tmp_path / "c.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError):
        load(path)
    assert tolerant(path).server.data == Path(data)


@contextlib.contextmanager
def as_user(number: int) -> Iterator[None]:
    """Run the block as another user."""
    before = os.geteuid()
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(before)


def test_an_unreadable_file_says_how_the_service_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("")
    path.chmod(0o600 if ROOT else 0)
    open_to_others(tmp_path)
    with as_user(OTHER_USER), pytest.raises(UserError, match="Permission denied") as caught:
        load(path)
    assert caught.value.hint.endswith(f"chgrp netboot-appliance {path}; chmod 640 {path}")
    with pytest.raises(UserError, match="Is a directory"):
        load(tmp_path)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no configuration file") as caught:
        load(tmp_path / "c.toml")
    assert "config init" in caught.value.hint


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        load(path)


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETBOOT_APPLIANCE_CONFIG", "/environment")
    assert locate(Path("/option")) == Path("/option")
    assert locate(None) == Path("/environment")
    monkeypatch.delenv("NETBOOT_APPLIANCE_CONFIG")
    assert locate(None) == Path("/etc/netboot-appliance/config.toml")


@pytest.mark.parametrize(
    ("boinc", "url", "said"),
    [
        ("", "", "internet"),
        ("", "http://10.77.0.3/fake/", "internet,10.77.0.3"),
        ("", "https://project.example.org/", "internet"),
        ('lan = ["10.0.0.8", "10.1.0.0/16"]', "http://10.77.0.3:81/", "internet,10.77.0.3,10.0.0.8/32,10.1.0.0/16"),
        ('network = "all"', "http://10.77.0.3/fake/", "all"),
    ],
)
def test_a_projects_address_opens_the_local_network_and_its_name_does_not(boinc: str, url: str, said: str) -> None:
    project = f'[project]\nurl = "{url}"\naccount_key = "1_abc"\n' if url else ""
    assert parse(f"{SMALLEST}{project}[boinc]\n{boinc}\n", HERE).boinc_network(None) == said
