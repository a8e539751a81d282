"""What the project says about the tasks of one PC of a room."""

from services.ethernet import MacAddress
from tests.fakes.boinc_project import Host, Result, read_status
from tests.room.room import Room


def the_host(room: Room, mac: MacAddress) -> Host:
    """The one host that the project knows by the PC's name."""
    hosts = read_status(room.project_directory).hosts.values()
    (host,) = (host for host in hosts if host.domain_name.endswith(mac.bare))
    return host


def results(room: Room, mac: MacAddress) -> list[Result]:
    """The tasks that the project gave to a PC, oldest first; none before it joins."""
    status = read_status(room.project_directory)
    hosts = {host.id for host in status.hosts.values() if host.domain_name.endswith(mac.bare)}
    return [result for result in status.results.values() if result.hostid in hosts]


def reported(room: Room, mac: MacAddress) -> list[Result]:
    """The tasks that the PC has reported."""
    return [result for result in results(room, mac) if result.state == "reported"]


def unfinished(room: Room, mac: MacAddress) -> list[Result]:
    """The tasks that the PC has not finished."""
    return [result for result in results(room, mac) if result.state == "sent"]
