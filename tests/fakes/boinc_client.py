"""A boinc-client as the live system's agent sees it: its GUI RPC port, which can be silent or talk nonsense, too."""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer

NONCE = "1795999999.123456"


@dataclass
class Project:
    """A project that BOINC is attached to."""

    url: str = "https://project.example/"
    name: str = "Some Project"
    host: int = 7
    master_fetch_failures: int = 0
    nrpc_failures: int = 0
    min_rpc_time: float = 0
    no_new_work: bool = False

    def xml(self) -> str:
        fields = (
            f"    <master_url>{self.url}</master_url>\n    <project_name>{self.name}</project_name>\n"
            f"    <hostid>{self.host}</hostid>\n    <nrpc_failures>{self.nrpc_failures}</nrpc_failures>\n"
            f"    <master_fetch_failures>{self.master_fetch_failures}</master_fetch_failures>\n"
            f"    <min_rpc_time>{self.min_rpc_time:.6f}</min_rpc_time>\n"
        )
        more = "    <dont_request_more_work/>\n" if self.no_new_work else ""
        return f"<project>\n{fields}{more}</project>\n"


@dataclass
class Task:
    """A task, which runs unless `state` says that it has ended: 5 is uploaded. `cpu` and `checkpoint` are the seconds
    of processor time that it has had, by now and at its latest checkpoint."""

    name: str
    project: str = "https://project.example/"
    state: int = 2
    running: bool = True
    cpu: float = 470.0
    checkpoint: float = 470.0

    def xml(self) -> str:
        xml = f"<result>\n    <name>{self.name}</name>\n    <project_url>{self.project}</project_url>\n"
        xml += f"    <state>{self.state}</state>\n"
        if self.state == 5:
            xml += "    <ready_to_report/>\n"
        if self.running and self.state == 2:
            xml += "<active_task>\n    <active_task_state>1</active_task_state>\n"
            xml += f"    <checkpoint_cpu_time>{self.checkpoint:.6f}</checkpoint_cpu_time>\n"
            xml += f"    <current_cpu_time>{self.cpu:.6f}</current_cpu_time>\n"
            xml += "    <fraction_done>0.470000</fraction_done>\n</active_task>\n"
        return f"{xml}</result>\n"


@dataclass
class Condition:
    """What this client would answer. `behaviour`: "sane", or "silent", "endless", "nonsense", "closed"."""

    password: str = "secret"
    behaviour: str = "sane"
    suspend_reason: int = 0
    projects: list[Project] = field(default_factory=lambda: [Project()])
    tasks: list[Task] = field(default_factory=lambda: [Task("task_1")])
    messages: list[str] = field(default_factory=lambda: ["Starting BOINC client version 7.20.5"])
    changes: list[str] = field(default_factory=list)
    """Requests other than questions, as XML without line ends."""
    times: list[float] = field(default_factory=list)
    """When each change was asked for, by `clock`."""
    clock: Callable[[], float] = lambda: 0.0

    def answer(self, request: str) -> str:
        if "<get_cc_status/>" in request:
            reason = f"<task_suspend_reason>{self.suspend_reason}</task_suspend_reason>"
            return f"<cc_status>\n   <task_mode>2</task_mode>\n   {reason}\n</cc_status>\n"
        if "<get_project_status/>" in request:
            return f"<projects>\n{''.join(project.xml() for project in self.projects)}</projects>\n"
        if "<get_results/>" in request:
            return f"<results>\n{''.join(task.xml() for task in self.tasks)}</results>\n"
        if "<get_message_count/>" in request:
            return f"<seqno>{len(self.messages)}</seqno>\n"
        if since := re.search(r"<get_messages><seqno>(\d+)", request):
            numbered = list(enumerate(self.messages, 1))[int(since[1]) :]
            shown = (f"<msg>\n <seqno>{n}</seqno>\n <body>\n{text}\n</body>\n</msg>\n" for n, text in numbered)
            return f"<msgs>\n{''.join(shown)}</msgs>\n"
        # Who asks waits for the answer, so that clock stands still.
        self.times.append(self.clock())
        self.changes.append(re.sub(r"\s*\n\s*|</?boinc_gui_rpc_request>", "", request))
        if "project_nomorework" in request:
            for project in self.projects:
                project.no_new_work |= project.url in request
        return "<success/>\n"


class BoincClient(ThreadingTCPServer):
    """The GUI RPC port of one client, on a free port of the loopback interface."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.condition = Condition()
        self.closing = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Session(BaseRequestHandler):
    server: BoincClient

    def handle(self) -> None:
        condition, read = self.server.condition, b""
        try:
            while more := self.request.recv(65536):
                read += more
                while b"\3" in read:
                    request, _, read = read.partition(b"\3")
                    self._answer(condition, request.decode())
        except (OSError, EOFError):
            return

    def _answer(self, condition: Condition, request: str) -> None:
        if condition.behaviour == "closed":
            raise EOFError
        if condition.behaviour == "silent":
            self.server.closing.wait(20)
            raise EOFError
        if condition.behaviour == "endless":
            until = time.monotonic() + 20
            while time.monotonic() < until and not self.server.closing.is_set():
                self.request.sendall(b"<result>\n" * 1000)
        if condition.behaviour == "nonsense":
            self._send("\0\33[2J%n$(reboot)`reboot`</boinc_gui_rpc_reply><a>" * 50)
        elif "<auth1/>" in request:
            self._send(f"<nonce>{NONCE}</nonce>\n")
        elif "<auth2>" in request:
            right = hashlib.md5(f"{NONCE}{condition.password}".encode()).hexdigest()
            self._send("<authorized/>\n" if right in request else "<unauthorized/>\n")
        else:
            self._send(condition.answer(request))

    def _send(self, content: str) -> None:
        self.request.sendall(f"<boinc_gui_rpc_reply>\n{content}</boinc_gui_rpc_reply>\n\3".encode())
