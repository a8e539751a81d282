"""5,000 PCs that compute: each sends a heartbeat once a minute, over a connection of its own, 83 a second.

They have booted, so each has a token. A heartbeat is as long as that of a PC with eight tasks. While they come, TFTP's
latency is measured as in bench/together.py: 20 lock-step clients with a pause between blocks. Bytes are those that the
server writes to files (proc(5), io: wchar), its registry and its log.
"""

import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import Findings, Table, number
from bench.servers import FIRST_MAC, Ours
from bench.site import NEAR, Site
from bench.together import latency
from tests.netns.inside import inside
from tests.room.processes import RoomError

PCS = 5000
MINUTE = 60.0
_FIRST_PC = 1 << 18  # beside the MAC addresses and the addresses of the TFTP clients
_IDLE_SECONDS = 5.0
_TIMEOUT = 10.0
_TOKEN = re.compile(rb"netboot_appliance\.token=([A-Za-z0-9_-]+)")
_HEAD = (
    "uptime=86461\nload=3.98\ncores=4\nmemory_mb=7900\nmemory_free_mb=5100\ntemperature=61\nclock=1790000000\n"
    "address={address}\nboinc=running\nstate_directory=ok\nstate_free_mb=18000\nfiles=0123456789abcdef\n"
    "card=e1000e 8086:15bb\nmodel=OptiPlex 7060\ncpu=Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz\n\n"
)
_STATUS = """\
<boinc_gui_rpc_reply>
<cc_status>
   <network_status>0</network_status>
   <ams_password_error>0</ams_password_error>
   <task_suspend_reason>0</task_suspend_reason>
   <task_mode>2</task_mode>
   <task_mode_perm>2</task_mode_perm>
   <task_mode_delay>0.000000</task_mode_delay>
   <gpu_suspend_reason>0</gpu_suspend_reason>
   <gpu_mode>2</gpu_mode>
   <network_suspend_reason>0</network_suspend_reason>
   <network_mode>2</network_mode>
   <disallow_attach>0</disallow_attach>
   <simple_gui_only>0</simple_gui_only>
   <max_event_log_lines>2000</max_event_log_lines>
</cc_status>
</boinc_gui_rpc_reply>
<boinc_gui_rpc_reply>
<projects>
<project>
    <master_url>https://project.example.org/</master_url>
    <project_name>Example@home</project_name>
    <user_name>office</user_name>
    <team_name></team_name>
    <host_venue></host_venue>
    <hostid>4711</hostid>
    <user_total_credit>123456.789000</user_total_credit>
    <user_expavg_credit>1234.567800</user_expavg_credit>
    <host_total_credit>2345.678900</host_total_credit>
    <host_expavg_credit>123.456780</host_expavg_credit>
    <nrpc_failures>0</nrpc_failures>
    <min_rpc_time>1790000123.000000</min_rpc_time>
    <resource_share>100.000000</resource_share>
    <sched_priority>-1.005432</sched_priority>
    <attached_via_acct_mgr/>
</project>
</projects>
</boinc_gui_rpc_reply>
<boinc_gui_rpc_reply>
<results>
{results}</results>
</boinc_gui_rpc_reply>
<boinc_gui_rpc_reply>
<msgs>
<msg>
 <project>Example@home</project>
 <pri>1</pri>
 <seqno>482</seqno>
 <body>
Scheduler request completed: got 1 new tasks
</body>
 <time>1790000060</time>
</msg>
</msgs>
</boinc_gui_rpc_reply>
"""
_RESULT = """\
<result>
    <name>example_wu_20261130_{mac}_{number}_0</name>
    <wu_name>example_wu_20261130_{mac}_{number}</wu_name>
    <platform>x86_64-pc-linux-gnu</platform>
    <version_num>612</version_num>
    <plan_class></plan_class>
    <project_url>https://project.example.org/</project_url>
    <final_cpu_time>0.000000</final_cpu_time>
    <final_elapsed_time>0.000000</final_elapsed_time>
    <exit_status>0</exit_status>
    <state>2</state>
    <report_deadline>1790600000.000000</report_deadline>
    <received_time>1790000000.000000</received_time>
    <estimated_cpu_time_remaining>5432.100000</estimated_cpu_time_remaining>
    <active_task>
        <active_task_state>1</active_task_state>
        <app_version_num>612</app_version_num>
        <fraction_done>0.{number}61234</fraction_done>
        <elapsed_time>1234.567000</elapsed_time>
    </active_task>
</result>
"""


def body(mac: str, address: IPv4Address) -> bytes:
    """The heartbeat of a PC with eight tasks: about 8 kB."""
    results = "".join(_RESULT.format(mac=mac, number=task) for task in range(8))
    return (_HEAD.format(address=address) + _STATUS.format(results=results)).encode()


def fresh_macs(count: int) -> list[str]:
    """MAC addresses of so many PCs that never booted."""
    return [f"{FIRST_MAC + _FIRST_PC + i:012x}" for i in range(count)]


class Pcs:
    """The PCs on the servers' host, each with an address of its own."""

    def __init__(self, server: Ours, macs: Sequence[str]) -> None:
        self._server = server
        self.macs = macs
        self.addresses = [NEAR.network_address + _FIRST_PC + i for i in range(len(macs))]
        self.tokens: list[str] = []
        self.milliseconds: list[float] = []
        """How long each heartbeat took, from connecting to the end of the reply."""
        self.failures = 0
        self._stop = threading.Event()

    def boot(self) -> None:
        """Each fetches its boot script; RoomError if one gets none."""
        with inside(self._server.site.host):
            for mac, address in zip(self.macs, self.addresses, strict=True):
                script = self._ask(address, f"GET /boot/{mac}/boot.ipxe HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
                found = _TOKEN.search(script)
                if found is None:
                    raise RoomError(f"the PC {mac} got no token: {script[:300]!r}")
                self.tokens.append(found[1].decode())

    @contextmanager
    def computing(self) -> Iterator[None]:
        """During the block they send heartbeats, evenly over the minute."""
        self._stop.clear()
        thread = threading.Thread(target=self._beat, name="heartbeats")
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _beat(self) -> None:
        begun, sent = time.monotonic(), 0
        with inside(self._server.site.host):
            while not self._stop.wait(max(begun + sent * MINUTE / PCS - time.monotonic(), 0)):
                self._one(sent % len(self.macs))
                sent += 1

    def _one(self, i: int) -> None:
        content = body(self.macs[i], self.addresses[i])
        head = f"POST /boot/{self.macs[i]}/{self.tokens[i]}/heartbeat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        begun = time.perf_counter()
        try:
            answer = self._ask(self.addresses[i], f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        except OSError:
            answer = b""
        self.milliseconds.append((time.perf_counter() - begun) * 1000)
        self.failures += not answer.startswith(b"HTTP/1.1 200 ")

    def _ask(self, address: IPv4Address, request: bytes) -> bytes:
        with socket.create_connection((str(self._server.address), 80), _TIMEOUT, (str(address), 0)) as tcp:
            tcp.sendall(request)
            answer = b""
            while piece := tcp.recv(65536):
                answer += piece
        return answer


def measure(quick: bool = False) -> Findings:
    """Boot them, let them compute for a minute, and measure TFTP without and with them."""
    with Site() as site:
        server = Ours(site)
        try:
            server.start()
            return _measured(server, Pcs(server, fresh_macs(500 if quick else PCS)), 10.0 if quick else MINUTE)
        finally:
            server.stop()


def _measured(server: Ours, pcs: Pcs, seconds: float) -> Findings:
    pcs.boot()
    time.sleep(2.0)  # the journal writes what it has
    before = server.cpu_seconds()
    time.sleep(_IDLE_SECONDS)
    idle = (server.cpu_seconds() - before) / _IDLE_SECONDS
    alone = [latency(server) for _ in range(2)]
    with pcs.computing():
        cpu, written, begun = server.cpu_seconds(), _written(server), time.monotonic()
        sent = len(pcs.milliseconds)
        time.sleep(seconds)
        lasted, sent = time.monotonic() - begun, len(pcs.milliseconds) - sent
        cpu, written = server.cpu_seconds() - cpu, _written(server) - written
        beside = [latency(server) for _ in range(3)]
    alone.append(latency(server))
    share = cpu / lasted
    p99_alone, p99_beside = median(_p99(alone)), median(_p99(beside))
    times = sorted(pcs.milliseconds)
    figures = {
        "heartbeat_us": (cpu - idle * lasted) / sent * 1e6,
        "heartbeats_core": share * 100,
        "heartbeats_tftp": p99_beside / p99_alone,
        "heartbeats_failures": float(pcs.failures),
    }
    size = sum(file.stat().st_size for file in (server.data / "registry").iterdir())
    rows = [
        ["heartbeats a second", number(sent / lasted)],
        ["bytes of one", number(len(body(pcs.macs[0], pcs.addresses[0])))],
        ["failures", number(pcs.failures)],
        ["a heartbeat, ms, median", number(times[len(times) // 2])],
        ["a heartbeat, ms, p99", number(times[len(times) * 99 // 100])],
        ["CPU us/heartbeat", number(figures["heartbeat_us"])],
        ["share of a core, %", number(figures["heartbeats_core"])],
        ["the same without heartbeats, %", number(idle * 100)],
        ["written to the registry and the log, MB/minute", number(written / lasted * MINUTE / 1e6)],
        ["the registry's files, MB", number(size / 1e6)],
        ["TFTP p99 alone, us", number(p99_alone)],
        ["TFTP p99 with heartbeats, us", number(p99_beside)],
        ["p99 together/alone", number(figures["heartbeats_tftp"])],
    ]
    title = f"Heartbeats of {len(pcs.macs):,} PCs"
    return Findings(tables=[Table(title, ["figure", "value"], rows)], figures=figures)


def _p99(found: list[dict[str, Any]]) -> list[float]:
    return [float(each["block_p99_us"]) for each in found]


def _written(server: Ours) -> int:
    """Bytes that it has written to files."""
    assert server.process is not None
    found = re.search(r"^wchar: (\d+)$", Path(f"/proc/{server.process.pid}/io").read_text(), re.MULTILINE)
    assert found
    return int(found[1])
