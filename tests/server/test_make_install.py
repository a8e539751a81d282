"""`make install` on a server with systemd, without a network: install, upgrade, failure half-way, uninstall."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.room.room import CHECKOUT
from tests.server.container import Container
from tests.server.package import LOCKS, OFFLINE
from tests.server.program import CONFIGURATION, HOME, WORK, active, allowed, bound, furnish, process

SOURCES = (
    "appliance",
    "services",
    "image",
    "systemd",
    "packaging",
    "docs",
    "Makefile",
    "README.md",
    "pyproject.toml",
    *LOCKS,
)
REQUESTS = "netboot-appliance-image-request"
# What the target does after installing Debian packages; a bare server has no make.
INSTALL = f"{OFFLINE.format('/root/wheels')} /root/source/packaging/install"


def copy(server: Container, names: Sequence[str], target: str) -> None:
    server.path(target).mkdir()
    for name in names:
        source, there = CHECKOUT / name, server.path(target) / name
        if source.is_dir():
            shutil.copytree(source, there, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, there)


def test_a_server_is_installed_upgraded_and_left_without_a_package(container: Container, wheels: Path) -> None:
    copy(container, SOURCES, "/root/source")
    shutil.copytree(wheels, container.path("/root/wheels"))

    said = container.run(INSTALL, timeout=600).stdout
    assert "netboot-appliance is running" in said
    assert "netboot-appliance image build" in said
    assert said.count("the password of the page: ") == 1
    assert "fingerprint  " in said
    assert bound(container) >= {"67", "69", "80", "4011"}
    assert active(container, "netboot-appliance-control.service") == "active"
    assert active(container, "netboot-appliance-exports.path") == "active"
    assert container.run("systemctl is-enabled netboot-appliance").stdout == "enabled\n"
    assert container.run(["stat", "-c", "%a %G", CONFIGURATION]).stdout == "640 netboot-appliance\n"
    assert "allow add" in container.run("man netboot-appliance").stdout
    assert container.run("systemctl show -p FragmentPath --value netboot-appliance").stdout.startswith(
        "/usr/local/lib/"
    )
    furnish(container)

    # Half-way: no packages can be fetched. Nothing has changed, and the program still runs and restarts.
    before, when = process(container), container.run(f"stat -c %Y {HOME}/bin").stdout
    broken = container.run(INSTALL.replace("/root/wheels", "/root/nothing"), check=False, timeout=600)
    assert broken.returncode != 0
    assert process(container) == before
    assert container.run(f"stat -c %Y {HOME}/bin").stdout == when
    assert not container.path("/opt/.netboot-appliance.new").exists()

    # Once more: an upgrade from a program that lacks a module, and a unit.
    container.run(f"touch {HOME}/lib/of_yesterday.py")
    container.run(f"systemctl disable --now {REQUESTS}.path; rm /usr/local/lib/systemd/system/{REQUESTS}.*")
    container.run("systemctl daemon-reload")
    said = container.run(INSTALL, timeout=600).stdout
    assert "netboot-appliance is running" in said
    assert "image build" not in said
    assert "the password of the page: " not in said
    assert active(container, "netboot-appliance-control.service") == "active"
    assert active(container, f"{REQUESTS}.path") == "active"
    assert container.run(f"systemctl is-enabled {REQUESTS}.path").stdout == "enabled\n"
    assert process(container) != before
    assert "8080" in bound(container)
    assert not container.path(f"{HOME}/lib/of_yesterday.py").exists()
    assert allowed(container) == ["window"]

    # It makes the directory for its answers, though nobody has asked for anything.
    container.run(f"systemctl start {REQUESTS}.service; test -d /run/{REQUESTS}")
    said = container.run("/root/source/packaging/uninstall").stdout
    assert "/var/lib/netboot-appliance" in said
    assert active(container) == "inactive"
    left = container.run("find /etc /opt /run /usr /var -xdev -name '*netboot-appliance*'").stdout.splitlines()
    assert set(left) == {"/etc/netboot-appliance", "/var/lib/netboot-appliance"}
    assert container.path(WORK).exists()
    assert container.path(CONFIGURATION).exists()
