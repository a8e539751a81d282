"""The installed program on a server: what tests ask it, and what it has after some use."""

import json

from tests.server.container import Container

HOME = "/opt/netboot-appliance"
CONFIGURATION = "/etc/netboot-appliance/config.toml"
DATA = "/var/lib/netboot-appliance"
WORK = f"{DATA}/state/525400aabbcc/client_state.xml"


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
