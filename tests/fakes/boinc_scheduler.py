"""The decisions of the fake BOINC project: who may join, who gets a job, what counts as reported.

They are those of BOINC's server 8.3 (process_request() in its handle_request.cpp), as far as clients notice. It
validates nothing, grants no credit, and has no quota and no limit of memory or disk. Knows nothing about HTTP.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.fakes import boinc_control
from tests.fakes.boinc_account import PROJECT_PREFERENCES, WebPreferences
from tests.fakes.boinc_control import Control, Weather
from tests.fakes.boinc_hosts import Hosts
from tests.fakes.boinc_records import Host, Result, read_status, write_status
from tests.fakes.boinc_signing import SigningKey
from tests.fakes.boinc_work import Work
from tests.fakes.boinc_xml import element, number, written

ACCOUNT_KEY = "00112233445566778899aabbccddeeff"
PROJECT_NAME = "Fake"

REQUEST_DELAY = 7
"""Seconds that the client waits before its next request, at least: what a real project asks for without being
configured otherwise."""
MISSING_KEY_DELAY = 3600
MAINTENANCE_DELAY = 3600
CLIENT_STATE_UPLOADED = "5"


def _host_of(request: str) -> Host:
    info = element(request, "host_info")
    return Host(
        id=int(number(request, "hostid")),
        domain_name=element(info, "domain_name"),
        ip=element(info, "ip_addr"),
        cpid=element(info, "host_cpid"),
        os_name=element(info, "os_name"),
        os_version=element(info, "os_version"),
        p_vendor=element(info, "p_vendor"),
        p_model=element(info, "p_model"),
        p_ncpus=int(number(info, "p_ncpus")),
        m_nbytes=element(info, "m_nbytes"),
        first_contact=time.time(),
        last_contact=time.time(),
        rpc_count=1,
        rpc_seqno=int(number(request, "rpc_seqno")),
    )


class Project:
    """The project's decisions and its memory in `directory`. Its methods may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        url: str,
        log: Callable[[str], None],
        *,
        account_key: str = ACCOUNT_KEY,
        job_seconds: int = 15,
        jobs_per_host: int = 0,
        attacked: tuple[str, ...] = (),
        resend_lost_jobs: bool = False,
        web_preferences: Path | None = None,
    ) -> None:
        """`url` is the master URL; `jobs_per_host` 0 means no end of jobs. A host has one job at a time. `attacked` are
        the arguments of boinc_attacks.py. `resend_lost_jobs`: a job that a host does not have any more is sent again,
        which real projects do only if they are configured so. `web_preferences`: a file with the elements that the
        account's owner has set on the web."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.url = url
        self.jobs_per_host = jobs_per_host
        self.status = read_status(directory)
        self.key = self._load_key()
        self.work = Work(url, self.key, job_seconds, attacked)
        self._account_key = account_key
        self._resend_lost_jobs = resend_lost_jobs
        self._web_preferences = WebPreferences(web_preferences)
        self.log = log
        self._hosts = Hosts(self.status, log)
        self._lock = threading.Lock()

    def _load_key(self) -> SigningKey:
        path = self.directory / "signing-key.json"
        if not path.exists():
            path.write_text(json.dumps(asdict(SigningKey.generate())))
        return SigningKey(**json.loads(path.read_text()))

    @property
    def control(self) -> Control:
        """What a test wants of the project now."""
        return boinc_control.read(self.directory)

    def master_page(self) -> str:
        """The page a client reads first: it finds the scheduler here."""
        return f'<html><head><link rel="boinc_scheduler" href="{self.url}cgi"></head></html>\n'

    def project_config(self) -> str:
        """The answer to get_project_config.php, which BOINC Manager asks for."""
        return (
            f"<project_config><name>{PROJECT_NAME}</name><master_url>{self.url}</master_url>"
            f"<web_rpc_url_base>{self.url}</web_rpc_url_base><min_passwd_length>6</min_passwd_length></project_config>\n"
        )

    def schedule(self, request: str) -> str:
        """Answer one scheduler request."""
        control = self.control
        seen = _host_of(request)
        with self._lock:
            if control.weather is Weather.MAINTENANCE:
                message = "Project is temporarily shut down for maintenance"
                return _reply(self._head(MAINTENANCE_DELAY, ("notice", message)), "<project_is_down/>\n")
            if element(request, "authenticator") != (control.account_key or self._account_key):
                return self._refuse(seen)
            host, assigned = self._hosts.find(seen, busy="<other_result>" in request)
            acknowledged = self._take_reports(host, request)
            aborted = [name for name in _on_host(request) if self._is_useless(host, name, control)]
            jobs = self._give_jobs(host, request, aborted)
            write_status(self.directory, self.status)
        parts = [
            self._head(REQUEST_DELAY, *(("low", f"Result {name} is no longer usable") for name in aborted)),
            written(userid=1, user_name="tester"),
            self._web_preferences.to_send(request),
            PROJECT_PREFERENCES,
            # Only then: at every <hostid> the client makes a new host_cpid.
            written(hostid=host.id) if assigned else "",
            f"<host_venue>{control.venue}</host_venue>\n",
            *(f"<result_ack>\n{written(name=name)}</result_ack>\n" for name in acknowledged),
            *(f"<result_abort>\n{written(name=name)}</result_abort>\n" for name in aborted),
            self.work.application_xml() if jobs else "",
            *map(self.work.job_xml, jobs),
        ]
        if self.key.public_text().split() != element(request, "code_sign_key").split():
            # Only then: a client that already has a key wants the new one signed with the old.
            parts.append(f"<code_sign_key>\n{self.key.public_text()}</code_sign_key>\n")
        page = written(name="Your account", description="View your account", url=f"{self.url}home.php")
        return _reply(*parts, f"<gui_urls>\n<gui_url>\n{page}</gui_url>\n</gui_urls>\n")

    def upload(self, body: bytes) -> str:
        """Take one output file, or answer how much of it is here (nothing: uploads are one piece)."""
        if b"<get_file_size>" in body:
            return "<data_server_reply><status>0</status><file_size>0</file_size></data_server_reply>\n"
        head, _, data = body.partition(b"<data>\n")
        text = head.decode(errors="replace")
        name = element(text, "name").removesuffix("_output")
        content = data[: int(number(text, "nbytes"))].decode(errors="replace")
        with self._lock:
            result = self.status.results.get(name)
            if result is None:
                self.log(f"upload refused: no result {name!r}")
                return "<data_server_reply><status>-1</status><message>no such result</message></data_server_reply>\n"
            result.output = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d+)$", content, re.MULTILINE)}
            result.uploaded = time.time()
            if result.state == "sent":
                result.state = "uploaded"
            self.log(f"uploaded {name}: {' '.join(f'{key}={value}' for key, value in result.output.items())}")
            write_status(self.directory, self.status)
        return "<data_server_reply><status>0</status></data_server_reply>\n"

    def _head(self, delay: float, *messages: tuple[str, str]) -> str:
        """What every reply begins with; messages have a priority: a `notice` is shown to the user, `low` is not."""
        return (
            f"<scheduler_version>803</scheduler_version>\n<dont_use_dcf/>\n<master_url>{self.url}</master_url>\n"
            f"<request_delay>{delay:f}</request_delay>\n"
            + "".join(f'<message priority="{priority}">{text}</message>\n' for priority, text in messages)
            + f"<project_name>{PROJECT_NAME}</project_name>\n"
        )

    def _refuse(self, seen: Host) -> str:
        """Nothing but a message; who has no host yet gets it as one that no user is shown."""
        self.log(f"refused {seen.domain_name} at {seen.ip}: wrong account key")
        message = "Invalid or missing account key.  To fix, remove and add this project."
        if seen.id in self.status.hosts:
            return _reply(self._head(MISSING_KEY_DELAY, ("notice", message)))
        lost = [("low", "Can't find host record")] if seen.id else []
        # The real one writes it this way here, with a blank before the stop.
        return _reply(self._head(MISSING_KEY_DELAY, *lost, ("low", f"{message[:-1]} .")))

    def _take_reports(self, host: Host, request: str) -> list[str]:
        names = []
        for report in re.findall(r"<result>(.*?)</result>", request, re.DOTALL):
            name = element(report, "name")
            names.append(name)
            result = self.status.results.get(name)
            if result is None or result.hostid != host.id:
                self.log(f"host {host.id} reports {name}, which was not given to it")
                continue
            result.reported = time.time()
            if result.state != "detached":
                result.state = "reported" if element(report, "state") == CLIENT_STATE_UPLOADED else "failed"
            self.log(f"{result.state} {name} by host {host.id}")
        return names

    def _is_useless(self, host: Host, name: str, control: Control) -> bool:
        result = self.status.results.get(name)
        return result is None or result.hostid != host.id or name in control.cancelled

    def _give_jobs(self, host: Host, request: str, aborted: list[str]) -> list[str]:
        if number(request, "work_req_seconds") <= 0:
            return []
        on_host = _on_host(request)
        own = self.status.of_host(host.id)
        if self._resend_lost_jobs:
            lost = [r.name for r in own if r.state in ("sent", "uploaded") and r.name not in on_host]
            if lost:
                return lost
        if set(on_host) - set(aborted) or (self.jobs_per_host and len(own) >= self.jobs_per_host):
            return []
        name = f"count_host{host.id}_{len(own) + 1}"
        self.status.results[name] = Result(name=name, hostid=host.id, state="sent", sent=time.time())
        self.log(f"sent {name} to host {host.id} ({self.work.seconds} s)")
        return [name]


def _on_host(request: str) -> list[str]:
    """The jobs of the project that the client has not ended."""
    return re.findall(r"<other_result>\s*<name>(.*?)</name>", request)


def _reply(*parts: str) -> str:
    return "<scheduler_reply>\n" + "".join(parts) + "</scheduler_reply>\n"
