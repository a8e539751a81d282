"""The installed program on a server: what tests ask it, and what it has after some use."""

import json
import os

from tests.server.container import Container

HOME = "/opt/netboot-appliance"
CONFIGURATION = "/etc/netboot-appliance/config.toml"
DATA = "/var/lib/netboot-appliance"
WORK = f"{DATA}/state/525400aabbcc/client_state.xml"
_LOOP_DEVICES = 4096  # they are those of this machine, where others may use many


def active(server: Container, unit: str = "netboot-appliance.service") -> str:
    return server.run(["systemctl", "is-active", unit], check=False).stdout.strip()


def process(server: Container) -> str:
    return server.run("systemctl show --property=MainPID --value netboot-appliance.service").stdout.strip()


def bound(server: Container) -> set[str]:
    """The ports that the program listens on."""
    lines = server.run("ss -Hlunpt").stdout.splitlines()
    return {line.split()[4].rpartition(":")[2] for line in lines if "netboot-applian" in line}


def furnish(server: Container) -> None:
    """What an administrator and a PC created since the installation."""
    server.run(f"sed -i 's/^# http_port = 80/http_port = 8080/' {CONFIGURATION}")
    server.run(["netboot-appliance", "allow", "add", "52:54:00:aa:bb:cc", "--label", "window"])
    server.run(f"install -D -o 731 -g 731 -m 600 /etc/hostname {WORK}; chown 731:731 $(dirname {WORK})")


def allowed(server: Container) -> list[str]:
    return [entry["label"] for entry in json.loads(server.run("netboot-appliance allow list --json").stdout)]


def add_loop_devices(server: Container) -> None:
    """Give a container loop devices, as a real server has them."""
    control = server.path("/dev/loop-control")
    if not control.exists():
        os.mknod(control, 0o20600, os.makedev(10, 237))
        for number in range(_LOOP_DEVICES):
            os.mknod(server.path(f"/dev/loop{number}"), 0o60600, os.makedev(7, number))
