"""The decisions of the fake BOINC project: who is which host, who gets a job, what counts as reported.

Hosts are told apart by the rules of the real scheduler (authenticate_user() in its handle_request.cpp), the trap for
every BOINC live system. It validates nothing and grants no credit. Knows nothing about HTTP.
"""

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from xml.sax.saxutils import escape, unescape

from tests.fakes.boinc_records import Host, Result, read_status, write_status
from tests.fakes.boinc_signing import SigningKey

ACCOUNT_KEY = "00112233445566778899aabbccddeeff"
PROJECT_NAME = "Fake"
PLATFORM = "x86_64-pc-linux-gnu"
APPLICATION = "boinc_application.sh"
ATTACKS = "boinc_attacks.py"

# Seconds the client waits between two requests, at least and at most: a finished job is reported at once, and not with
# a later request for work.
REQUEST_DELAY = 2
NEXT_RPC_DELAY = 5
# What the real scheduler tells a client with a wrong key: come back tomorrow.
MISSING_KEY_DELAY = 86400
FLOPS = 1e9
CLIENT_STATE_UPLOADED = "5"
DEADLINE = 7 * 86400


def _element(text: str, name: str) -> str:
    match = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return unescape(match[1].strip()) if match else ""


def _host_of(request: str) -> Host:
    info = _element(request, "host_info")
    return Host(
        id=int(_element(request, "hostid") or 0),
        domain_name=_element(info, "domain_name"),
        ip=_element(info, "ip_addr"),
        cpid=_element(info, "host_cpid"),
        os_name=_element(info, "os_name"),
        p_model=_element(info, "p_model"),
        m_nbytes=_element(info, "m_nbytes"),
        first_contact=time.time(),
        last_contact=time.time(),
        rpc_count=1,
        rpc_seqno=int(_element(request, "rpc_seqno") or 0),
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
    ) -> None:
        """`url` is the master URL; `jobs_per_host` 0 means no end of jobs. A host has one job at a time. `attacked` are
        the arguments of boinc_attacks.py, which then runs in each host's first job."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.url = url
        self.account_key = account_key
        self.job_seconds = job_seconds
        self.jobs_per_host = jobs_per_host
        self.status = read_status(directory)
        self.attacked = attacked
        self.files = {name: Path(__file__).with_name(name).read_bytes() for name in (APPLICATION, ATTACKS)}
        self._log = log
        self._key = self._load_key()
        self._lock = threading.Lock()

    def _load_key(self) -> SigningKey:
        path = self.directory / "signing-key.json"
        if not path.exists():
            path.write_text(json.dumps(asdict(SigningKey.generate())))
        return SigningKey(**json.loads(path.read_text()))

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
        with self._lock:
            seen = _host_of(request)
            if _element(request, "authenticator") != self.account_key:
                self._log(f"refused {seen.domain_name} at {seen.ip}: wrong account key")
                return (
                    "<scheduler_reply>\n"
                    '<message priority="notice">Invalid or missing account key.  To fix, remove and add this project.'
                    f"</message>\n<request_delay>{MISSING_KEY_DELAY}</request_delay>\n</scheduler_reply>\n"
                )
            host = self._find_host(seen, detached="<other_result>" not in request)
            acknowledged = self._take_reports(host, request)
            jobs = self._give_jobs(host, request)
            write_status(self.directory, self.status)
        knows_key = self._key.public_text().split() == _element(request, "code_sign_key").split()
        return self._reply(host, acknowledged, jobs, assigned=host.id != seen.id, knows_key=knows_key)

    def upload(self, body: bytes) -> str:
        """Take one output file, or answer how much of it is here (nothing: uploads are one piece)."""
        if b"<get_file_size>" in body:
            return "<data_server_reply><status>0</status><file_size>0</file_size></data_server_reply>\n"
        head, _, data = body.partition(b"<data>\n")
        text = head.decode(errors="replace")
        name = _element(text, "name").removesuffix("_output")
        content = data[: int(_element(text, "nbytes") or 0)].decode(errors="replace")
        with self._lock:
            result = self.status.results.get(name)
            if result is None:
                self._log(f"upload refused: no result {name!r}")
                return "<data_server_reply><status>-1</status><message>no such result</message></data_server_reply>\n"
            result.output = {key: int(value) for key, value in re.findall(r"^(\w+)=(\d+)$", content, re.MULTILINE)}
            result.uploaded = time.time()
            if result.state == "sent":
                result.state = "uploaded"
            self._log(f"uploaded {name}: {' '.join(f'{key}={value}' for key, value in result.output.items())}")
            write_status(self.directory, self.status)
        return "<data_server_reply><status>0</status></data_server_reply>\n"

    def _find_host(self, seen: Host, *, detached: bool) -> Host:
        known = self.status.hosts.get(seen.id)
        if known is not None and seen.rpc_seqno < known.rpc_seqno:
            self._log(f"host {known.id}: request {seen.rpc_seqno} is below {known.rpc_seqno}: its state was copied")
            known = self._find_lookalike(seen)
        elif known is None:
            known = self._find_cpid(seen, detached=detached) or self._find_lookalike(replace(seen, id=0))
        if known is None:
            host = replace(seen, id=max(self.status.hosts, default=0) + 1)
            self._log(f"new host {host.id}: {host.domain_name} at {host.ip}")
        else:
            host = replace(seen, id=known.id, first_contact=known.first_contact, rpc_count=known.rpc_count + 1)
        if host.id != seen.id:
            host.rpc_seqno = 0
        self.status.hosts[host.id] = host
        return host

    def _find_cpid(self, seen: Host, *, detached: bool) -> Host | None:
        for host in reversed(self.status.hosts.values()):
            if host.cpid == seen.cpid != "":
                self._log(f"host {host.id} found again by its cpid")
                if detached:
                    self._detach(host)
                return host
        return None

    def _find_lookalike(self, seen: Host) -> Host | None:
        for host in reversed(self.status.hosts.values()):
            if host.id > seen.id and host.looks == seen.looks and all(seen.looks):
                self._log(f"host {host.id} found again by its name, address and hardware")
                self._detach(host)
                return host
        return None

    def _detach(self, host: Host) -> None:
        for result in self.status.of_host(host.id):
            if result.state in ("sent", "uploaded"):
                result.state = "detached"
                self._log(f"detached {result.name} of host {host.id}")

    def _take_reports(self, host: Host, request: str) -> list[str]:
        names = []
        for report in re.findall(r"<result>(.*?)</result>", request, re.DOTALL):
            name = _element(report, "name")
            names.append(name)
            result = self.status.results.get(name)
            if result is None or result.hostid != host.id:
                self._log(f"host {host.id} reports {name}, which was not given to it")
                continue
            result.reported = time.time()
            if result.state != "detached":
                result.state = "reported" if _element(report, "state") == CLIENT_STATE_UPLOADED else "failed"
            self._log(f"{result.state} {name} by host {host.id}")
        return names

    def _give_jobs(self, host: Host, request: str) -> list[str]:
        if float(_element(request, "work_req_seconds") or 0) <= 0:
            return []
        own = self.status.of_host(host.id)
        open_jobs = [result.name for result in own if result.state in ("sent", "uploaded")]
        if open_jobs:
            # A power cut between this reply and the client's state file loses the job: it is sent again.
            on_host = re.findall(r"<other_result>\s*<name>(.*?)</name>", request)
            return [name for name in open_jobs if name not in on_host]
        if self.jobs_per_host and len(own) >= self.jobs_per_host:
            return []
        name = f"count_host{host.id}_{len(own) + 1}"
        self.status.results[name] = Result(name=name, hostid=host.id, state="sent", sent=time.time())
        self._log(f"sent {name} to host {host.id} ({self.job_seconds} s)")
        return [name]

    def _reply(self, host: Host, acknowledged: list[str], jobs: list[str], *, assigned: bool, knows_key: bool) -> str:
        parts = [
            f"<scheduler_version>715</scheduler_version>\n<dont_use_dcf/>\n<master_url>{self.url}</master_url>\n"
            f"<request_delay>{REQUEST_DELAY}</request_delay>\n<next_rpc_delay>{NEXT_RPC_DELAY}</next_rpc_delay>\n"
            f"<project_name>{PROJECT_NAME}</project_name>\n<userid>1</userid>\n<user_name>tester</user_name>\n"
        ]
        if assigned:
            # Only then: at every <hostid> the client makes a new host_cpid.
            parts.append(f"<hostid>{host.id}</hostid>\n")
        if not knows_key:
            # Only then: a client that already has a key wants the new one signed with the old.
            parts.append(f"<code_sign_key>\n{self._key.public_text()}</code_sign_key>\n")
        parts += [f"<result_ack><name>{escape(name)}</name></result_ack>\n" for name in acknowledged]
        if jobs:
            parts.append(self._application_xml())
        parts += [self._job_xml(name) for name in jobs]
        return "<scheduler_reply>\n" + "".join(parts) + "</scheduler_reply>\n"

    def _application_xml(self) -> str:
        return (
            "<app><name>count</name><user_friendly_name>Counting seconds</user_friendly_name></app>\n"
            f"{''.join(self._file_xml(name, content) for name, content in self.files.items())}"
            f"<app_version>\n<app_name>count</app_name>\n<version_num>100</version_num>\n<platform>{PLATFORM}</platform>\n"
            f"<api_version>7.20.0</api_version>\n<avg_ncpus>1</avg_ncpus>\n<flops>{FLOPS}</flops>\n<file_ref>\n"
            f"<file_name>{APPLICATION}</file_name>\n<main_program/>\n<copy_file/>\n</file_ref>\n"
            f"<file_ref>\n<file_name>{ATTACKS}</file_name>\n<copy_file/>\n</file_ref>\n</app_version>\n"
        )

    def _file_xml(self, name: str, content: bytes) -> str:
        return (
            f"<file_info>\n<name>{name}</name>\n<url>{self.url}download/{name}</url>\n<executable/>\n"
            f"<file_signature>\n{self._key.sign(content)}</file_signature>\n<nbytes>{len(content)}</nbytes>\n"
            f"<md5_cksum>{hashlib.md5(content).hexdigest()}</md5_cksum>\n</file_info>\n"
        )

    def _job_xml(self, name: str) -> str:
        operations = FLOPS * self.job_seconds
        arguments = (str(self.job_seconds), *(self.attacked if name.endswith("_1") else ()))
        return (
            f"<workunit>\n<name>wu_{name}</name>\n<app_name>count</app_name>\n"
            f"<rsc_fpops_est>{operations}</rsc_fpops_est>\n<rsc_fpops_bound>{operations * 1000}</rsc_fpops_bound>\n"
            f"<rsc_memory_bound>50000000</rsc_memory_bound>\n<rsc_disk_bound>50000000</rsc_disk_bound>\n"
            f"<command_line>{' '.join(arguments)}</command_line>\n</workunit>\n"
            f"<file_info>\n<name>{name}_output</name>\n<generated_locally/>\n<upload_when_present/>\n"
            f"<max_nbytes>10000</max_nbytes>\n<url>{self.url}file_upload_handler</url>\n</file_info>\n"
            f"<result>\n<name>{name}</name>\n<wu_name>wu_{name}</wu_name>\n<platform>{PLATFORM}</platform>\n"
            f"<version_num>100</version_num>\n<report_deadline>{int(time.time()) + DEADLINE}</report_deadline>\n"
            f"<file_ref>\n<file_name>{name}_output</file_name>\n<open_name>output</open_name>\n<copy_file/>\n</file_ref>\n"
            "</result>\n"
        )
