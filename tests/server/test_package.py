"""The Debian package on a server with systemd: installed, upgraded, removed, purged."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.container import Container
from tests.server.package import BUILT_AT, PYTHON_3
from tests.server.program import CONFIGURATION, DATA, HOME, WORK, active, allowed, bound, furnish, process
from tests.server.server_room import PACKAGE
from tests.server.suites import ON_BOTH
from tests.unit.appliance.registry.schemas.make import load

pytestmark = ON_BOTH

INSTALL = f"apt-get install -y {PACKAGE}"
PAGE = "netboot-appliance-control.service"
REQUESTS = "netboot-appliance-image-request"
SOCKETS = ("67", "69", "80", "4011")
COMPLETE = """\
source /usr/share/bash-completion/bash_completion
_completion_loader netboot-appliance
[[ $(complete -p netboot-appliance) =~ -F\\ ([^ ]+) ]]
COMP_WORDS=(netboot-appliance imag) COMP_CWORD=1
${BASH_REMATCH[1]} netboot-appliance
echo "${COMPREPLY[@]}"
"""
# To the network, it looks like a PC with its root mounted from here.
MOUNT = """\
import socket, time
server = socket.create_server(("127.0.0.1", 2049))
client = socket.create_connection(("127.0.0.1", 2049))
time.sleep(600)
"""
HOLD = "import socket, time; s = socket.socket(2, 2); s.bind(('', 67)); time.sleep(600)"


@pytest.fixture(scope="module")
def unpacked(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("deb") / "unpacked"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, directory], check=True)
    return directory


@pytest.fixture(scope="module")
def older(unpacked: Path) -> Iterator[Path]:
    """The package as an older version with a different configuration file."""
    control, configuration = unpacked / "DEBIAN" / "control", unpacked / CONFIGURATION[1:]
    kept = {path: path.read_text() for path in (control, configuration)}
    control.write_text(kept[control].replace("\nVersion: ", "\nVersion: 0~"))
    configuration.write_text(kept[configuration] + "# An older version said this.\n")
    target = unpacked.parent / "older.deb"
    subprocess.run(["dpkg-deb", "--build", "-Znone", unpacked, target], check=True, stdout=subprocess.DEVNULL)
    for path, text in kept.items():
        path.write_text(text)
    yield target
    target.unlink()


def test_nothing_in_the_package_comes_from_the_place_where_it_was_built(unpacked: Path) -> None:
    home = unpacked / HOME[1:]
    assert (home / "bin/netboot-appliance").read_text().startswith(f"#!{HOME}/bin/python3")
    assert f"venv --without-pip {HOME}\n" in (home / "pyvenv.cfg").read_text()
    assert sorted(path.name for path in (home / "bin").iterdir() if not path.is_symlink()) == ["netboot-appliance"]
    names = {path.name for path in home.rglob("*")}
    assert not names & {"pip", "setuptools", "direct_url.json"}
    found = subprocess.run(["grep", "--recursive", "--files-with-matches", "-F", BUILT_AT, unpacked], check=False)
    assert found.returncode == 1
    sources = {path for path in home.rglob("*.py") if "site-packages" in path.parts}
    compiled = {path.parent.parent / f"{path.name.partition('.')[0]}.py" for path in home.rglob("*.pyc")}
    assert len(sources & compiled) > 0.99 * len(sources)


def test_the_dependencies_fit_the_interpreter(deb: Path, distribution: str) -> None:
    depends = subprocess.run(["dpkg-deb", "-f", deb, "Depends"], check=True, capture_output=True, text=True).stdout
    minor = PYTHON_3[distribution]
    assert f"python3 (>= 3.{minor}~), python3 (<< 3.{minor + 1}~)" in depends
    assert "nfs-kernel-server | nfs-ganesha-vfs" in depends


class TestInstalled:
    """A server with the package freshly installed."""

    def test_it_serves_with_no_configuration(self, installed: Container) -> None:
        assert active(installed) == "active"
        assert bound(installed) >= set(SOCKETS)
        for unit in ("netboot-appliance-exports.path", f"{REQUESTS}.path"):
            assert active(installed, unit) == "active"
            assert installed.run(["systemctl", "is-enabled", unit]).stdout == "enabled\n"

    def test_the_page_answers_by_the_certificate_that_is_named(self, installed: Container) -> None:
        assert active(installed, PAGE) == "active"
        named = installed.run("netboot-appliance control fingerprint").stdout
        shown = installed.run(
            "openssl s_client -connect 127.0.0.1:8443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
        ).stdout
        assert shown.strip().partition("=")[2] in named
        assert "https://10.77.0.1:8443/" in named
        owned = installed.run(["stat", "-c", "%a %U", f"{DATA}/registry/control.pem"]).stdout
        assert owned == "600 netboot-appliance\n"

    def test_what_must_be_off_is_off(self, installed: Container) -> None:
        timer = "netboot-appliance-rebuild.timer"
        assert installed.run(["systemctl", "is-enabled", timer], check=False).stdout.strip() == "disabled"
        assert active(installed, timer) == "inactive"
        assert active(installed, "netboot-appliance-image.service") == "inactive"

    def test_the_account_key_is_for_root_and_the_service_alone(self, installed: Container) -> None:
        assert installed.run(["stat", "-c", "%a %U:%G", CONFIGURATION]).stdout == "640 root:netboot-appliance\n"

    def test_systemd_finds_nothing_wrong_with_the_units(self, installed: Container) -> None:
        verified = installed.run("cd / && systemd-analyze verify --man=yes /lib/systemd/system/netboot-appliance*.*")
        assert "netboot-appliance" not in verified.stderr

    def test_the_man_page_is_there(self, installed: Container) -> None:
        assert "allow add" in installed.run("man netboot-appliance").stdout

    def test_bash_completes_verbs(self, installed: Container) -> None:
        done = installed.run(["bash", "--norc", "-c", COMPLETE])
        assert done.stdout.split() == ["image"]

    def test_the_program_is_on_everybodys_path(self, installed: Container) -> None:
        shown = installed.run("setpriv --reuid=nobody --clear-groups netboot-appliance --version").stdout
        assert shown.startswith("netboot-appliance 0.")


def test_an_upgrade_keeps_what_is_there_and_runs_the_new_program(container: Container, older: Path) -> None:
    container.put(older, "/root/older.deb")
    said = container.run("apt-get install -y /root/older.deb", timeout=600).stdout
    assert said.count("the password of the page: ") == 1
    furnish(container)
    container.run("systemctl restart netboot-appliance; systemctl enable --now netboot-appliance-rebuild.timer")
    before = process(container)
    # As unattended upgrades do it: interactively, the administrator would be asked.
    said = container.run(f"{INSTALL} -o Dpkg::Options::=--force-confold", timeout=600).stdout
    assert "the password of the page: " not in said
    assert "fingerprint  " in said
    assert active(container, PAGE) == active(container, f"{REQUESTS}.path") == "active"
    assert "0~" not in container.run("dpkg-query -W -f '${Version}' netboot-appliance").stdout
    assert active(container) == "active"
    assert process(container) != before
    assert "8080" in bound(container)
    assert allowed(container) == ["window"]
    assert container.run(["stat", "-c", "%u", WORK]).stdout == "731\n"
    assert container.run(["stat", "-c", "%a %G", CONFIGURATION]).stdout == "640 netboot-appliance\n"
    assert active(container, "netboot-appliance-rebuild.timer") == "active"


def test_the_registry_of_a_server_that_ran_by_hand_becomes_the_services(container: Container, tmp_path: Path) -> None:
    load(1, tmp_path / "registry.sqlite3")
    container.run(["mkdir", "-p", DATA])
    container.put(tmp_path / "registry.sqlite3", f"{DATA}/registry.sqlite3")
    container.run(["chmod", "600", f"{DATA}/registry.sqlite3"])
    container.run(INSTALL, timeout=600)
    assert active(container) == "active"
    assert "room 12, window" in allowed(container)
    owners = container.run(f"stat -c %U {DATA}/registry/*").stdout.split()
    assert set(owners) == {"netboot-appliance"}


def test_removing_keeps_everything_that_a_new_installation_needs(container: Container) -> None:
    container.run(INSTALL, timeout=600)
    furnish(container)
    # It makes the directory for its answers, though nobody has asked for anything.
    container.run(f"systemctl start {REQUESTS}.service; test -d /run/{REQUESTS}")
    container.run("mkdir -p /etc/exports.d; echo '/srv -ro 192.0.2.1' >/etc/exports.d/netboot-appliance.exports")
    container.run(["systemd-run", "--unit=a-pc", "python3", "-c", MOUNT])
    container.wait("ss -Htn state established '( sport = :2049 )' | grep -q .", 120)
    assert "clients of this server right now: 1." in container.run("apt-get remove -y netboot-appliance").stdout
    assert active(container) == "inactive"
    assert "netboot" not in container.run("systemctl --failed --no-legend").stdout
    for gone in (
        HOME,
        "/etc/exports.d/netboot-appliance.exports",
        "/run/netboot-appliance",
        "/run/netboot-appliance-control",
        "/run/netboot-appliance-image",
        f"/run/{REQUESTS}",
        "/run/netboot-appliance-no-router",
        "/usr/bin/netboot-appliance",
    ):
        assert container.run(["test", "-e", gone], check=False).returncode == 1, gone
    assert container.run(["test", "-d", "/opt"]).returncode == 0
    container.run(INSTALL, timeout=600)
    assert active(container) == "active"
    assert "8080" in bound(container)
    assert allowed(container) == ["window"]

    purged = container.run("apt-get purge -y netboot-appliance")
    assert f"are kept in {DATA}" in purged.stdout + purged.stderr
    assert container.path(WORK).exists()
    assert not container.path("/etc/netboot-appliance").exists()
    assert "netboot" not in container.run("systemctl list-units --all --no-legend").stdout
    assert "netboot" not in container.run("ls /etc/systemd/system/*.wants /var/lib/systemd/deb-systemd-helper-*").stdout


def test_purging_deletes_the_data_when_that_is_the_answer(container: Container) -> None:
    container.run(INSTALL, timeout=600)
    furnish(container)
    container.run("echo netboot-appliance netboot-appliance/remove-data boolean true | debconf-set-selections")
    container.run("apt-get purge -y netboot-appliance")
    assert not container.path(DATA).exists()
    assert "remove-data" not in container.run("debconf-get-selections || cat /var/cache/debconf/config.dat").stdout


def test_a_port_that_is_held_fails_the_service_and_not_the_installation(container: Container) -> None:
    container.run(["systemd-run", "--unit=another-server", "python3", "-c", HOLD])
    container.wait("ss -Hlun | grep -q :67", 120)
    installed = container.run(INSTALL, timeout=600)
    assert "does not start" in installed.stdout
    assert "port 67" in installed.stdout
    assert "netboot-appliance doctor" in installed.stdout
    assert container.run("dpkg-query -W -f '${db:Status-Status}' netboot-appliance").stdout == "installed"
    assert active(container) in ("activating", "failed")
    findings = json.loads(container.run("netboot-appliance doctor --json", check=False).stdout)
    assert "port 67" in json.dumps(findings)
    container.run("systemctl stop another-server")
    container.wait("systemctl is-active netboot-appliance", 120, "the service to start by itself")


def test_the_package_does_not_overwrite_a_make_install(container: Container) -> None:
    container.run("ln -s /opt/netboot-appliance/bin/netboot-appliance /usr/local/bin/netboot-appliance")
    refused = container.run(INSTALL, check=False, timeout=600)
    assert refused.returncode != 0
    assert "make uninstall" in refused.stdout + refused.stderr
