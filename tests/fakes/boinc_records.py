"""What the fake BOINC project remembers: hosts and results, in one JSON file that is replaced atomically."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "status.json"


@dataclass(slots=True)
class Host:
    """One computer as the project knows it. Times are seconds of the Unix epoch."""

    id: int
    domain_name: str
    ip: str
    cpid: str
    os_name: str
    os_version: str
    p_vendor: str
    p_model: str
    p_ncpus: int
    m_nbytes: str
    first_contact: float
    last_contact: float
    rpc_count: int
    rpc_seqno: int

    @property
    def looks(self) -> tuple[str, ...]:
        """What the real scheduler compares to merge two computers of one account."""
        return (self.domain_name, self.ip, self.os_name, self.p_model, self.m_nbytes)

    @property
    def obvious(self) -> tuple[str | int, ...]:
        """What differs between computers that the real scheduler does not merge although their cpid is the same."""
        return (self.p_ncpus, self.p_vendor, self.p_model, self.os_name, self.os_version)


@dataclass(slots=True)
class Result:
    """One job given to one host. `state` is sent, uploaded, reported, failed, or detached (taken for lost).

    `output` is what the application wrote: total, starts and resumed_from; empty before the upload.
    """

    name: str
    hostid: int
    state: str
    sent: float
    uploaded: float = 0.0
    reported: float = 0.0
    output: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Status:
    """Everything the project knows: hosts by id, results by name in the order they were sent."""

    hosts: dict[int, Host] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)

    def of_host(self, hostid: int) -> list[Result]:
        """The results given to one host, oldest first."""
        return [result for result in self.results.values() if result.hostid == hostid]

    def named(self, domain_name: str) -> list[Host]:
        """The hosts with this name, oldest first; more than one means that identity was lost."""
        return [host for host in self.hosts.values() if host.domain_name == domain_name]


def read_status(directory: Path) -> Status:
    """Read what the project in `directory` knows now; empty before its first client."""
    try:
        stored = json.loads((directory / FILE).read_text())
    except FileNotFoundError:
        return Status()
    return Status(
        hosts={int(key): Host(**value) for key, value in stored["hosts"].items()},
        results={key: Result(**value) for key, value in stored["results"].items()},
    )


def write_status(directory: Path, status: Status) -> None:
    """Replace what `read_status` returns; a reader sees the old or the new."""
    temporary = directory / f"{FILE}.new"
    temporary.write_text(json.dumps(asdict(status), indent=1))
    temporary.replace(directory / FILE)
