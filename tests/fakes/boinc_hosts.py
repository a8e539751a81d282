"""Which host a request is from: the rules by which a real BOINC scheduler knows a computer, or takes it for another.

They are those of BOINC's server 8.3: authenticate_user(), find_host_by_other() and obviously_different() in its
handle_request.cpp. The project has one account, so all hosts are of one user.
"""

from collections.abc import Callable
from dataclasses import replace

from tests.fakes.boinc_records import Host, Status


class Hosts:
    """The hosts in a project's memory, which it changes."""

    def __init__(self, status: Status, log: Callable[[str], None]) -> None:
        self._status = status
        self._log = log

    def find(self, seen: Host, *, busy: bool) -> tuple[Host, bool]:
        """The host that `seen` is, made if need be, and whether the client has to be told its id. `busy`: the client
        has jobs of the project. If it has none and is taken for a host by its looks, that host's jobs are lost."""
        known = self._status.hosts.get(seen.id)
        if known is not None and seen.rpc_seqno < known.rpc_seqno:
            self._log(f"host {known.id}: request {seen.rpc_seqno} is below {known.rpc_seqno}: its state was copied")
            known = self._find_lookalike(seen, busy=busy)
        elif known is not None:
            return self._keep(known, seen), False
        else:
            known = self._find_cpid(seen, busy=busy) or self._find_lookalike(seen, busy=busy)
        if known is not None:
            return self._keep(known, replace(seen, rpc_seqno=0)), True
        host = replace(seen, id=max(self._status.hosts, default=0) + 1, rpc_seqno=0)
        self._log(f"new host {host.id}: {host.domain_name} at {host.ip}")
        self._status.hosts[host.id] = host
        return host, True

    def _keep(self, known: Host, seen: Host) -> Host:
        host = replace(seen, id=known.id, first_contact=known.first_contact, rpc_count=known.rpc_count + 1)
        self._status.hosts[host.id] = host
        return host

    def _find_cpid(self, seen: Host, *, busy: bool) -> Host | None:
        for host in self._newest_first():
            if host.cpid == seen.cpid != "":
                if host.obvious != seen.obvious:
                    self._log(f"host {host.id} has the cpid of {seen.domain_name}, but is another computer")
                    return None
                self._log(f"host {host.id} found again by its cpid")
                return self._taken_over(host, busy=busy)
        return None

    def _find_lookalike(self, seen: Host, *, busy: bool) -> Host | None:
        for host in self._newest_first():
            if host.looks == seen.looks and all(seen.looks):
                self._log(f"host {host.id} found again by its name, address and hardware")
                return self._taken_over(host, busy=busy)
        return None

    def _newest_first(self) -> list[Host]:
        return sorted(self._status.hosts.values(), key=lambda host: host.id, reverse=True)

    def _taken_over(self, host: Host, *, busy: bool) -> Host:
        if not busy:
            for result in self._status.of_host(host.id):
                if result.state in ("sent", "uploaded"):
                    result.state = "detached"
                    self._log(f"detached {result.name} of host {host.id}")
        return host
