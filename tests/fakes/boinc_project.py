"""A small offline BOINC project for the real boinc-client: the only fake in the virtual room.

`python -m tests.fakes.boinc_project --address 10.77.0.3 --port 80 --directory DIR [--job-seconds 15]` serves the master
page, the scheduler, the download of two signed scripts and the upload of its output, all below the master URL
`http://10.77.0.3/fake/`, and an account manager at `http://10.77.0.3/am/`. It prints one line per event, and keeps its
state in DIR for `read_status`; a restart continues from there. What else it shall be (down, slow, with another key), a
test says while it runs: boinc_control.py. With `--certificate` it is an https project, and port 80 only redirects.
"""

import argparse
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from tests.fakes.boinc_account_manager import AccountManager
from tests.fakes.boinc_control import SLOW_SECONDS, Weather
from tests.fakes.boinc_records import Host, Result, Status, read_status
from tests.fakes.boinc_scheduler import ACCOUNT_KEY, Project

__all__ = ["ACCOUNT_KEY", "Host", "Project", "ProjectServer", "Result", "Status", "main", "master_url", "read_status"]

ROOT = "/fake/"
MANAGER_ROOT = "/am/"
BODY_LIMIT = 4 << 20
PORTS = {"http": 80, "https": 443}
POLL_SECONDS = 0.1


def master_url(address: str, port: int | None = None, scheme: str = "http") -> str:
    """The URL by which clients attach to the project at this address."""
    return f"{scheme}://{address}{'' if port in (None, PORTS[scheme]) else f':{port}'}{ROOT}"


class ProjectServer(ThreadingHTTPServer):
    """The project on a TCP port; one thread per connection."""

    daemon_threads = True

    def __init__(self, address: str, port: int, project: Project, tls: ssl.SSLContext | None = None) -> None:
        super().__init__((address, port), _Request)
        self.project = project
        self.manager = AccountManager(project.directory, project.key, project.log)
        self.timeout = POLL_SECONDS
        if tls:
            # The handshake is left to the thread of the connection.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: ProjectServer

    def do_GET(self) -> None:
        if self._is_served():
            project = self.server.project
            pages = {
                "": ("text/html", project.master_page().encode()),
                "get_project_config.php": ("text/xml", project.project_config().encode()),
                **{f"download/{name}": ("application/octet-stream", file) for name, file in project.work.files.items()},
            }
            page = pages.get(self.path.partition("?")[0].removeprefix(ROOT))
            self._send(200, *page) if page else self._send(404, "text/plain", b"not found\n")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if length > BODY_LIMIT:
            self.close_connection = True
            self._send(413, "text/plain", b"too large\n")
            return
        body = self.rfile.read(length)
        programs: dict[str, Callable[[], str]] = {
            f"{ROOT}cgi": lambda: self.server.project.schedule(body.decode(errors="replace")),
            f"{ROOT}file_upload_handler": lambda: self.server.project.upload(body),
            f"{MANAGER_ROOT}rpc.php": lambda: self.server.manager.answer(body.decode(errors="replace")),
        }
        if self._is_served():
            program = programs.get(self.path)
            self._send(200, "text/xml", program().encode()) if program else self._send(
                404, "text/plain", b"not found\n"
            )

    def _is_served(self) -> bool:
        """Whether this request is answered as usual, in this weather."""
        weather = self.server.project.control.weather
        if weather is Weather.SLOW:
            time.sleep(SLOW_SECONDS)
        if weather is Weather.REFUSING:
            # A connection from better times.
            self.close_connection = True
        if weather is Weather.UNAVAILABLE:
            self._send(503, "text/plain", b"unavailable\n")
        return weather not in (Weather.REFUSING, Weather.UNAVAILABLE)

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the project logs events, not requests."""


class _Redirect(BaseHTTPRequestHandler):
    """What the web server of an https project has on port 80."""

    timeout = 60

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        self.send_response(301)
        self.send_header("Location", f"https://{host}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def serve(address: str, port: int, project: Project, tls: ssl.SSLContext | None) -> None:
    """Serve for ever; listen to nobody while the weather is `refusing`."""

    def refuses() -> bool:
        return project.control.weather is Weather.REFUSING

    while True:
        if refuses():
            project.log("refusing connections")
            while refuses():
                time.sleep(POLL_SECONDS)
        with ProjectServer(address, port, project, tls) as server:
            project.log(f"serving {project.url}")
            while not refuses():
                server.handle_request()


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A small offline BOINC project for tests.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, help="80, or 443 with a certificate")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--account-key", default=ACCOUNT_KEY)
    parser.add_argument("--job-seconds", type=int, default=15)
    parser.add_argument("--jobs-per-host", type=int, default=0, help="0: no end of jobs")
    parser.add_argument("--attacked", nargs="*", default=(), help="the addresses that the first jobs attack")
    parser.add_argument("--resend-lost-jobs", action="store_true")
    parser.add_argument("--web-preferences", type=Path, help="elements of the account's preferences on the web")
    parser.add_argument("--certificate", type=Path, help="serve https with this certificate and key, in one PEM file")
    options = parser.parse_args(arguments)
    scheme = "https" if options.certificate else "http"
    port = options.port or PORTS[scheme]
    project = Project(
        options.directory,
        master_url(options.address, port, scheme),
        lambda line: print(line, flush=True),
        account_key=options.account_key,
        job_seconds=options.job_seconds,
        jobs_per_host=options.jobs_per_host,
        attacked=tuple(options.attacked),
        resend_lost_jobs=options.resend_lost_jobs,
        web_preferences=options.web_preferences,
    )
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
        redirect = ThreadingHTTPServer((options.address, PORTS["http"]), _Redirect)
        threading.Thread(target=redirect.serve_forever, daemon=True).start()

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    serve(options.address, port, project, tls)
    return 0


if __name__ == "__main__":
    sys.exit(main())
